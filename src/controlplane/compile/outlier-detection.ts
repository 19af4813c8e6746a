import type { Resource } from '../../core/resources.js';
import type { OutlierDetectionSpec } from '../yaml/schema/outlier-detection.js';
import { duration, wrapped } from './proto.js';

/** Whole numbers of which the proto has the same name, written in its own way. */
const NUMBERS = [
  'consecutive5xx',
  'enforcingConsecutive5xx',
  'consecutiveGatewayFailure',
  'consecutiveLocalOriginFailure',
  'enforcingConsecutiveLocalOriginFailure',
  'maxEjectionPercent',
  'successRateMinimumHosts',
  'successRateRequestVolume',
  'enforcingSuccessRate',
  'enforcingLocalOriginSuccessRate',
  'failurePercentageThreshold',
  'failurePercentageMinimumHosts',
  'failurePercentageRequestVolume',
  'enforcingFailurePercentageLocalOrigin',
] as const satisfies readonly (keyof OutlierDetectionSpec)[];

const TIMES = ['interval', 'baseEjectionTime', 'maxEjectionTime', 'maxEjectionTimeJitter'] as const;

/** `Cluster.outlier_detection`: what is set, and what our defaults differ in. */
export function outlierDetection(given: OutlierDetectionSpec | undefined): Resource {
  if (given === undefined) return {};
  const fields: Record<string, Resource[string]> = {};
  for (const name of NUMBERS) if (given[name] !== undefined) fields[protoName(name)] = wrapped(given[name]);
  for (const name of TIMES) if (given[name] !== undefined) fields[protoName(name)] = duration(given[name]);
  // Both are off in Envoy unless they are switched on: one who says how many means it (as Istio for gateway errors).
  const gateway =
    given.enforcingConsecutiveGatewayFailure ?? (given.consecutiveGatewayFailure === undefined ? undefined : 100);
  const percentage =
    given.enforcingFailurePercentage ?? (given.failurePercentageThreshold === undefined ? undefined : 100);
  return {
    outlier_detection: {
      ...fields,
      ...(gateway !== undefined && { enforcing_consecutive_gateway_failure: wrapped(gateway) }),
      ...(percentage !== undefined && { enforcing_failure_percentage: wrapped(percentage) }),
      // "This factor is divided by a thousand" - outlier_detection.proto
      ...(given.successRateStdevFactor !== undefined && {
        success_rate_stdev_factor: wrapped(Math.round(given.successRateStdevFactor * 1_000)),
      }),
      ...(given.splitExternalLocalOriginErrors === true && { split_external_local_origin_errors: true }),
      ...(given.successfulActiveHealthCheckUnejectHost !== undefined && {
        successful_active_health_check_uneject_host: wrapped(given.successfulActiveHealthCheckUnejectHost),
      }),
      always_eject_one_host: wrapped(given.alwaysEjectOneHost),
    },
  };
}

/** `consecutive5xx` is `consecutive_5xx`. */
const protoName = (name: string): string => name.replace(/[A-Z]|5xx/g, (part) => `_${part.toLowerCase()}`);
