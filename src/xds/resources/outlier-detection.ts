import type { FailurePercentageEjection, OutlierConfig, SuccessRateEjection } from '../../core/model/outlier.js';
import type { Message } from './message.js';

/** Defaults of outlier_detection.proto; those of gRFC A50 are the same. Times in milliseconds. */
const INTERVAL_MS = 10_000;
/** Ours: to look more often says nothing new. */
const MIN_INTERVAL_MS = 100;
const BASE_EJECTION_MS = 30_000;
const MAX_EJECTION_MS = 300_000;
const MAX_EJECTION_PERCENT = 10;
const CONSECUTIVE = 5;
const SUCCESS_RATE_HOSTS = 5;
const SUCCESS_RATE_VOLUME = 100;
const SUCCESS_RATE_STDEV_FACTOR = 1_900;
const FAILURE_THRESHOLD = 85;
const FAILURE_HOSTS = 5;
const FAILURE_VOLUME = 50;

/**
 * `Cluster.outlier_detection`. The message is Envoy's, and so are its defaults: consecutive failures eject unless `enforcing_consecutive_5xx` is
 * 0, though gRPC's own clients know the two statistical kinds only. What "is set to 0" is off (gRFC A50). Undefined: nothing is ejected.
 */
export function outlierDetection(cluster: Message): OutlierConfig | undefined {
  const config = cluster.message('outlier_detection');
  if (config === undefined) return undefined;
  // "they must have non-negative values" - A50, which `duration` sees to; so one of 0 is no mistake, as it would be by the .proto.
  const intervalMs = Math.max(MIN_INTERVAL_MS, config.duration('interval') ?? INTERVAL_MS);
  const baseEjectionMs = config.duration('base_ejection_time') ?? BASE_EJECTION_MS;
  const split = config.flag('split_external_local_origin_errors');
  const local = localOrigin(config);
  return {
    intervalMs,
    baseEjectionMs,
    maxEjectionMs: config.duration('max_ejection_time') ?? Math.max(MAX_EJECTION_MS, baseEjectionMs),
    maxEjectionJitterMs: config.duration('max_ejection_time_jitter') ?? 0,
    maxEjection: share(config, 'max_ejection_percent', MAX_EJECTION_PERCENT),
    consecutive5xx: consecutive(config, 'consecutive_5xx', 100),
    consecutiveGatewayFailure: consecutive(config, 'consecutive_gateway_failure', 0),
    splitLocalOrigin: split,
    successRate: successRate(config, 'enforcing_success_rate'),
    failurePercentage: failurePercentage(config, 'enforcing_failure_percentage'),
    // "Parameter takes effect only when split_external_local_origin_errors is set to true" - outlier_detection.proto
    ...(split ? local : NO_LOCAL_ORIGIN),
    unejectOnHealthCheck: config.boolValue('successful_active_health_check_uneject_host') ?? true,
    alwaysEjectOne: config.boolValue('always_eject_one_host') ?? false,
  };
}

type LocalOrigin = Pick<
  OutlierConfig,
  'consecutiveLocalOriginFailure' | 'localOriginSuccessRate' | 'localOriginFailurePercentage'
>;

const NO_LOCAL_ORIGIN: LocalOrigin = {
  consecutiveLocalOriginFailure: undefined,
  localOriginSuccessRate: undefined,
  localOriginFailurePercentage: undefined,
};

/** Failures to connect, and timeouts: counted on their own, by the same settings as what the server answers. */
const localOrigin = (config: Message): LocalOrigin => ({
  consecutiveLocalOriginFailure: consecutive(config, 'consecutive_local_origin_failure', 100),
  localOriginSuccessRate: successRate(config, 'enforcing_local_origin_success_rate'),
  localOriginFailurePercentage: failurePercentage(config, 'enforcing_failure_percentage_local_origin'),
});

/** gRFC A50: percentages "must have values less than or equal to 100". */
function share(config: Message, field: string, defaultPercent: number): number {
  return (config.percentValue(field) ?? defaultPercent) / 100;
}

function consecutive(
  config: Message,
  field: 'consecutive_5xx' | 'consecutive_gateway_failure' | 'consecutive_local_origin_failure',
  defaultEnforcing: number,
): { readonly count: number; readonly enforcing: number } | undefined {
  const count = config.uint32Value(field) ?? CONSECUTIVE;
  const enforcing = share(config, `enforcing_${field}`, defaultEnforcing);
  // A row of none is never reached: Envoy compares for equality after it has counted (outlier_detection_impl.cc).
  return count === 0 || enforcing === 0 ? undefined : { count, enforcing };
}

function successRate(config: Message, enforcingField: string): SuccessRateEjection | undefined {
  const enforcing = share(config, enforcingField, 100);
  const found = {
    // "This factor is divided by a thousand" - outlier_detection.proto
    stdevFactor: (config.uint32Value('success_rate_stdev_factor') ?? SUCCESS_RATE_STDEV_FACTOR) / 1_000,
    enforcing,
    minimumHosts: config.uint32Value('success_rate_minimum_hosts') ?? SUCCESS_RATE_HOSTS,
    requestVolume: config.uint32Value('success_rate_request_volume') ?? SUCCESS_RATE_VOLUME,
  };
  return enforcing === 0 ? undefined : found;
}

function failurePercentage(config: Message, enforcingField: string): FailurePercentageEjection | undefined {
  // "set to 0 or null" is off (gRFC A50): "Defaults to 0", unlike the success rate.
  const enforcing = share(config, enforcingField, 0);
  const found = {
    threshold: share(config, 'failure_percentage_threshold', FAILURE_THRESHOLD),
    enforcing,
    minimumHosts: config.uint32Value('failure_percentage_minimum_hosts') ?? FAILURE_HOSTS,
    requestVolume: config.uint32Value('failure_percentage_request_volume') ?? FAILURE_VOLUME,
  };
  return enforcing === 0 ? undefined : found;
}
