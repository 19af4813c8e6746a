import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Filter } from '../../core/service.js';
import { writeGrpcTimeout } from '../grpc/timeout.js';

/** Tells the server how long we still wait: `grpc-timeout`, or Envoy's `x-envoy-expected-rq-timeout-ms` for other protocols. */
export const carryDeadline =
  (env: { readonly clock: Clock }): Filter =>
  (next) =>
  (call) => {
    if (call.deadline !== Number.POSITIVE_INFINITY) tellDeadline(call, env.clock.now());
    return next(call);
  };

/** What is left at `now` of a deadline that there is. */
export function tellDeadline(call: Call, now: number): void {
  if (call.protocol === 'grpc') writeGrpcTimeout(call, now);
  else call.headers['x-envoy-expected-rq-timeout-ms'] = String(Math.max(0, Math.ceil(call.deadline - now)));
}
