import * as v from 'valibot';
import { GRPC_STATUS_NAMES } from '../../../core/grpc-status.js';
import { about, decimalPercent, duration, integer, listOf, oneOf } from './fields.js';

/** A second attempt beside the first that is slow: gRFC A6's `hedgingPolicy`, with Finagle's delay and Envoy's trigger. */
export const hedge = v.strictObject({
  maxAttempts: about(
    v.optional(integer(2, 5), 2),
    'Attempts at most, the first included (gRFC A6, which ends at 5). Default 2.',
  ),
  delay: about(
    v.optional(duration),
    'After this long the next one goes out (gRFC A6 `hedgingDelay`). Default: the live `percentile` of the latencies of the Service (Finagle).',
  ),
  percentile: about(
    v.optional(decimalPercent(1, 99.99), 95),
    'That percentile; it does not count before 100 calls have been seen in 10s. Default 95.',
  ),
  maxExtraPercent: about(
    v.optional(decimalPercent(0.01, 100), 5),
    'Extra load at most, in percent of the calls. Default 5.',
  ),
  nonFatalStatuses: about(
    v.optional(listOf(oneOf(GRPC_STATUS_NAMES.slice(1)), 1, 16)),
    'gRPC statuses at which the next one goes out at once; others end the call (gRFC A6). Default: none.',
  ),
  onPerTryTimeout: about(
    v.optional(v.boolean()),
    'The next one goes out when `timeouts.backendRequest` has passed, and the first goes on (Envoy `hedge_on_per_try_timeout`). Default false.',
  ),
});

export type HedgeSpec = v.InferOutput<typeof hedge>;
