import type { Call } from '../core/call.js';
import { classifyForCaller, classifyReply } from '../core/classify.js';
import { MeshError } from '../core/errors.js';
import type { Clock } from '../core/clock.js';
import type { Meter } from '../core/meter.js';
import type { Filter } from '../core/service.js';

/** Tells the meter of every call once it is over, however it ended: one place from which metrics and access log are fed. */
export const observe =
  ({ clock, meter }: { readonly clock: Clock; readonly meter: Meter }): Filter =>
  (next) =>
  (call) => {
    const startedAt = clock.now();
    call.record.startedAt = startedAt;
    return next(call).then(
      (reply) => {
        reply.onEnd((end) => {
          if (end.error !== undefined) call.record.raise(end.error.flag);
          const outcome = classifyReply(call, reply, end);
          meter.callFinished({ call, reply, end, error: end.error, outcome, durationMs: clock.now() - startedAt });
        });
        return reply;
      },
      (error: unknown) => {
        failed(call, error, clock.now() - startedAt, meter);
        throw error;
      },
    );
  };

function failed(call: Call, error: unknown, durationMs: number, meter: Meter): void {
  if (!(error instanceof MeshError)) return;
  call.record.raise(error.flag);
  meter.callFinished({ call, reply: undefined, end: undefined, error, outcome: classifyForCaller(error), durationMs });
}
