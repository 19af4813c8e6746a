import type { Call } from '../core/call.js';
import { isResponse } from '../core/platform.js';
import type { Reply } from '../core/reply.js';
import type { Service } from '../core/service.js';
import { replyOf } from './reply.js';

/** What one call gets: a reply, a failure, or what a function makes of the call. */
export type MockStep = Reply | Response | Error | ((call: Call) => Reply | Response | Promise<Reply | Response>);

export interface MockService extends Service {
  /** The calls that came, in order. */
  readonly calls: readonly Call[];
}

/**
 * A service scripted call by call, for tests of filters and of code that takes a `Service`. A call more than was scripted fails with
 * an error that says so.
 *
 * ```ts
 * const service = mockService([new Response(null, { status: 503 }), Response.json({ stars: 5 })]);
 * ```
 */
export function mockService(steps: readonly MockStep[]): MockService {
  const calls: Call[] = [];
  const service = async (call: Call): Promise<Reply> => {
    const step = steps[calls.length];
    calls.push(call);
    if (step === undefined) {
      throw new Error(
        `mockService: call ${calls.length} (${call.method} ${call.path}) came, but only ${steps.length} were scripted`,
      );
    }
    if (step instanceof Error) throw step;
    const result = typeof step === 'function' ? await step(call) : step;
    return isResponse(result) ? replyOf(result) : result;
  };
  return Object.assign(service, { calls });
}
