import type { Call } from '../../core/call.js';
import type { HeaderFields } from '../../core/headers.js';
import type { Route } from '../../core/model/route.js';
import type { Filter } from '../../core/service.js';

const ATTEMPT_COUNT = 'x-envoy-attempt-count';

/** `include_request_attempt_count` and `include_attempt_count_in_response`. Later attempts count on where the first has the field (retry). */
export function countAttempts(count: Route['attemptCount']): Filter | undefined {
  if (count === undefined || !(count.request || count.response)) return undefined;
  return (next) => (call) => {
    if (count.request) call.headers[ATTEMPT_COUNT] = '1';
    if (!count.response) return next(call);
    return next(call).then(
      (reply) => {
        sayCount(call, reply.headers);
        return reply;
      },
      (error: unknown) => {
        call.record.changeReply(({ headers }) => sayCount(call, headers));
        throw error;
      },
    );
  };
}

/** Nothing where there was no cluster to attempt anything at (Envoy; golden tests beside it). */
const sayCount = ({ record }: Call, headers: HeaderFields): void => {
  if (record.attempts > 0) headers[ATTEMPT_COUNT] = String(record.attempts);
};
