import type { Outcome } from '../../src/core/classify.js';
import { classifyError, classifyReply } from '../../src/core/classify.js';
import type { Call, CallInit, CallRecord } from '../../src/core/call.js';
import type { MeshError } from '../../src/core/errors.js';
import type { Finished } from '../../src/core/meter.js';
import type { ReplyEnd } from '../../src/core/reply.js';
import { aCall, aReply, GOOD_END } from './calls.js';

interface FinishedInit {
  readonly call?: Partial<CallInit>;
  readonly attempt?: number;
  readonly record?: Partial<
    Pick<CallRecord, 'attempts' | 'route' | 'cluster' | 'endpoint' | 'version' | 'traceId' | 'flags'>
  >;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly end?: Partial<ReplyEnd>;
  readonly error?: MeshError;
  readonly durationMs?: number;
}

/** A finished call, judged as the real stack judges it, with what a test does not care about filled in. */
export function finished(init: FinishedInit = {}): Finished & { readonly call: Call } {
  const call = aCall(init.call);
  call.attempt = init.attempt ?? 0;
  Object.assign(call.record, { attempts: 1, ...init.record });
  const durationMs = init.durationMs ?? 10;
  if (init.error !== undefined) {
    return {
      call,
      reply: undefined,
      end: undefined,
      error: init.error,
      outcome: classifyError(init.error),
      durationMs,
    };
  }
  const end: ReplyEnd = { ...GOOD_END, ...init.end };
  const reply = aReply(init.status ?? 200, init.headers ?? {}, end);
  const outcome: Outcome = classifyReply(call, reply, end);
  return { call, reply, end, error: end.error, outcome, durationMs };
}
