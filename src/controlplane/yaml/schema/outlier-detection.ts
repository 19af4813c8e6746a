import * as v from 'valibot';
import { about, count, decimal, duration, percent } from './fields.js';

const enforcing = (what: string, value: number) =>
  about(v.optional(percent), `Share of such cases that eject, in percent; 0 ejects none. Default ${value}${what}.`);

/** Envoy's `OutlierDetection`, field by field; the two statistical kinds are gRPC's too (gRFC A50). */
export const outlierDetection = v.strictObject({
  interval: about(v.optional(duration), 'Time between two looks at the statistics. Default 10s.'),
  baseEjectionTime: about(
    v.optional(duration),
    'How long an endpoint stays ejected, times how often it was. Default 30s.',
  ),
  maxEjectionTime: about(v.optional(duration), 'The longest that it stays ejected. Default 5m.'),
  maxEjectionTimeJitter: about(v.optional(duration), 'Added at random to that time, up to this long. Default 0s.'),
  maxEjectionPercent: about(v.optional(percent), 'Share of the endpoints ejected at once, in percent. Default 10.'),
  alwaysEjectOneHost: about(
    v.optional(v.boolean(), true),
    'One endpoint may be ejected whatever `maxEjectionPercent` says. Default true; false in Envoy.',
  ),
  consecutive5xx: about(v.optional(count(0)), 'Failures in a row that eject; 0 for never. Default 5.'),
  enforcingConsecutive5xx: enforcing('', 100),
  consecutiveGatewayFailure: about(
    v.optional(count(0)),
    'Replies 502, 503 and 504 in a row that eject; 0 for never. Default: they count as `consecutive5xx` only.',
  ),
  enforcingConsecutiveGatewayFailure: enforcing(' when the field above is set', 100),
  splitExternalLocalOriginErrors: about(
    v.optional(v.boolean()),
    'Connections that fail, and timeouts, count by themselves and not as 5xx. Default false.',
  ),
  consecutiveLocalOriginFailure: about(
    v.optional(count(0)),
    'Those in a row that eject; needs `splitExternalLocalOriginErrors`. Default 5.',
  ),
  enforcingConsecutiveLocalOriginFailure: enforcing('', 100),
  successRateMinimumHosts: about(
    v.optional(count(1)),
    'Endpoints with enough calls for a comparison of their success rates. Default 5.',
  ),
  successRateRequestVolume: about(v.optional(count(1)), 'Calls in an interval that are enough. Default 100.'),
  successRateStdevFactor: about(
    v.optional(decimal(0, 100)),
    'Standard deviations below the mean at which one is ejected; in Envoy in thousandths. Default 1.9.',
  ),
  enforcingSuccessRate: enforcing('', 100),
  enforcingLocalOriginSuccessRate: enforcing(', with `splitExternalLocalOriginErrors`', 100),
  failurePercentageThreshold: about(
    v.optional(percent),
    'Share of failures in an interval at which one is ejected, in percent. Default 85.',
  ),
  failurePercentageMinimumHosts: about(v.optional(count(0)), 'Endpoints with enough calls. Default 5.'),
  failurePercentageRequestVolume: about(v.optional(count(0)), 'Calls that are enough. Default 50.'),
  enforcingFailurePercentage: enforcing(', or 100 when the threshold is set', 0),
  enforcingFailurePercentageLocalOrigin: enforcing(', with `splitExternalLocalOriginErrors`', 0),
  successfulActiveHealthCheckUnejectHost: about(
    v.optional(v.boolean()),
    'A health check that succeeds brings an ejected endpoint back. Default true.',
  ),
});

export type OutlierDetectionSpec = v.InferOutput<typeof outlierDetection>;
