import type { Clock } from '../../core/clock.js';
import type { Filter } from '../../core/service.js';
import { writeGrpcTimeout } from '../grpc/timeout.js';

/** Tells the server how long we still wait: `grpc-timeout`, or Envoy's `x-envoy-expected-rq-timeout-ms` for other protocols. */
export const carryDeadline =
  (env: { readonly clock: Clock }): Filter =>
  (next) =>
  (call) => {
    if (call.deadline !== Number.POSITIVE_INFINITY) {
      const now = env.clock.now();
      if (call.protocol === 'grpc') writeGrpcTimeout(call, now);
      else call.headers['x-envoy-expected-rq-timeout-ms'] = String(Math.max(0, Math.ceil(call.deadline - now)));
    }
    return next(call);
  };
