import { BytesBody } from '../../src/core/body.js';
import { Call, type CallInit } from '../../src/core/call.js';
import { headerFields } from '../../src/core/headers.js';
import { type Reply, type ReplyEnd, ReplyEnding } from '../../src/core/reply.js';
import type { Service } from '../../src/core/service.js';

/** A call with what a test does not care about filled in. */
export function aCall(init: Partial<CallInit> = {}): Call {
  return new Call({
    protocol: 'http',
    scheme: 'http',
    authority: 'reviews',
    method: 'GET',
    path: '/',
    headers: headerFields(),
    ...init,
  });
}

export const GOOD_END: ReplyEnd = { error: undefined, trailers: undefined, bytesSent: 0, bytesReceived: 0 };

/** A reply that a test ends when it wants. */
export class OpenReply implements Reply {
  readonly body = new BytesBody(new Uint8Array(0));
  readonly #ending = new ReplyEnding();
  constructor(
    readonly status = 200,
    readonly headers = headerFields(),
  ) {}
  onEnd(listener: (end: ReplyEnd) => void): void {
    this.#ending.onEnd(listener);
  }
  finish(end: Partial<ReplyEnd> = {}): void {
    this.#ending.settle({ ...GOOD_END, ...end });
  }
}

export type Step = Reply | Error | ((call: Call) => Promise<Reply> | Reply);

/** A service scripted call by call; remembers the calls. Fails the test when it is called more often than scripted. */
export function scripted(...steps: Step[]): Service & { readonly calls: Call[] } {
  const calls: Call[] = [];
  const service = (call: Call): Promise<Reply> => {
    const step = steps[calls.length];
    calls.push(call);
    if (step === undefined) return Promise.reject(new Error(`call ${calls.length} was not scripted`));
    if (step instanceof Error) return Promise.reject(step);
    return typeof step === 'function' ? Promise.resolve(step(call)) : Promise.resolve(step);
  };
  return Object.assign(service, { calls });
}

/** A reply that has already ended. */
export function aReply(status = 200, headers: Record<string, string> = {}, end: Partial<ReplyEnd> = {}): Reply {
  const reply = new OpenReply(status, headerFields(headers));
  reply.finish(end);
  return reply;
}
