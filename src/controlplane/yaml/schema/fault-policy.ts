import * as v from 'valibot';
import { GRPC_STATUS_NAMES } from '../../../core/grpc-status.js';
import { about, decimal, duration, integer, listOf, oneOf, requiredDuration, resource, text } from './fields.js';
import { headerMatch } from './header-match.js';
import { requestTargets, side } from './policy-target.js';

const percentage = about(
  v.optional(decimal(0, 100), 100),
  'Share of the requests that it happens to, in percent, down to 0.0001. Default 100.',
);
const byHeader = v.strictObject({});

const delay = v.strictObject({
  fixedDelay: about(v.optional(duration), 'This long (Envoy `fixed_delay`).'),
  uniform: about(
    v.optional(v.strictObject({ min: requiredDuration('At least.'), max: requiredDuration('At most.') })),
    'Drawn anew for each, all alike between two.',
  ),
  normal: about(
    v.optional(
      v.strictObject({
        mean: requiredDuration('Mean.'),
        deviation: requiredDuration('Standard deviation.'),
        max: requiredDuration('Longer ones are cut.'),
      }),
    ),
    'Drawn anew for each, normally distributed.',
  ),
  exponential: about(
    v.optional(v.strictObject({ mean: requiredDuration('Mean.'), max: requiredDuration('Longer ones are cut.') })),
    'Drawn anew for each, exponentially distributed.',
  ),
  headerDelay: about(
    v.optional(byHeader),
    '`{}`: as long as `x-envoy-fault-delay-request` says, in milliseconds (Envoy `header_delay`).',
  ),
  percentage,
});

const abort = v.strictObject({
  httpStatus: about(v.optional(integer(200, 599)), 'The answer is this HTTP status (Envoy `http_status`).'),
  grpcStatus: about(
    v.optional(oneOf(GRPC_STATUS_NAMES.slice(1))),
    'The answer is this gRPC status (Envoy `grpc_status`).',
  ),
  headerAbort: about(
    v.optional(byHeader),
    '`{}`: what `x-envoy-fault-abort-request` or `x-envoy-fault-abort-grpc-request` says (Envoy `header_abort`).',
  ),
  percentage,
});

const throttle = v.strictObject({
  bytesPerSecond: about(
    v.optional(integer(1, 1_073_741_824)),
    'The body of the reply comes no faster (Envoy `fixed_limit`, where it is whole KiB).',
  ),
  headerLimit: about(
    v.optional(byHeader),
    '`{}`: what `x-envoy-fault-throughput-response` says, in KiB/s (Envoy `header_limit`).',
  ),
  percentage,
});

const window = about(v.optional(duration, '10s'), 'Over so long, 1s to 1h. Default 10s.');
const minimumRequests = about(v.optional(integer(1, 1_000_000), 20), 'With fewer calls it says nothing. Default 20.');

const guard = v.strictObject({
  successRate: about(
    v.optional(
      v.strictObject({
        minimum: about(decimal(0, 100), 'It ends when less than this share of the calls succeeds, in percent.'),
        window,
        minimumRequests,
      }),
    ),
    'The share of calls that succeed.',
  ),
  latency: about(
    v.optional(
      v.strictObject({
        percentile: about(v.optional(decimal(1, 99.99), 99), 'Which percentile. Default 99.'),
        maximum: requiredDuration('It ends when the percentile is above this.'),
        window,
        minimumRequests,
      }),
    ),
    'How long calls take.',
  ),
});

const experiment = v.strictObject({
  run: about(v.optional(text(1, 64), '1'), 'One that has ended stays so until this text changes. Default "1".'),
  duration: requiredDuration('It ends by itself after so long, 1s to 24h.'),
  guards: about(
    v.optional(listOf(guard, 0, 8), []),
    'It ends at once when one of these is crossed: measured by each process, on all calls of the route, as the application sees them.',
  ),
});

const spec = v.strictObject({
  targetRefs: requestTargets,
  side,
  delay: about(v.optional(delay), 'Requests are held up.'),
  abort: about(v.optional(abort), 'Requests are answered at once, and go nowhere.'),
  reset: about(v.optional(v.strictObject({ percentage })), 'The connection breaks, without an answer.'),
  throttle: about(v.optional(throttle), 'Replies are slow.'),
  truncate: about(
    v.optional(
      v.strictObject({
        afterBytes: about(integer(0, 1_073_741_824), 'The body of the reply breaks off after so many bytes.'),
        percentage,
      }),
    ),
    'Replies break off.',
  ),
  headers: about(
    v.optional(listOf(headerMatch, 0, 16), []),
    'Only requests that all of these match (Envoy `headers`). Default: all.',
  ),
  maxActiveFaults: about(
    v.optional(integer(0, 4_294_967_295)),
    'Faults under way at once, in the whole process (Envoy `max_active_faults`). Default: any number.',
  ),
  experiment: about(
    v.optional(experiment),
    'The faults end by themselves. Default: they happen as long as the policy is there.',
  ),
});

/** What goes wrong on purpose. */
export const faultPolicy = resource('FaultPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type FaultPolicySpec = v.InferOutput<typeof spec>;
export type FaultGuardSpec = v.InferOutput<typeof guard>;
