import type { Message } from './message.js';

/** Fields of `cluster.v3.OutlierDetection` that are shares: those that gRFC A50 names, then Envoy's own (all "lte: 100"). */
const PERCENTS = [
  'max_ejection_percent',
  'enforcing_success_rate',
  'failure_percentage_threshold',
  'enforcing_failure_percentage',
  'enforcing_consecutive_5xx',
  'enforcing_consecutive_gateway_failure',
  'enforcing_consecutive_local_origin_failure',
  'enforcing_local_origin_success_rate',
  'enforcing_failure_percentage_local_origin',
] as const;

const DURATIONS = ['interval', 'base_ejection_time', 'max_ejection_time', 'max_ejection_time_jitter'] as const;

const COUNTS = [
  'success_rate_minimum_hosts',
  'success_rate_request_volume',
  'success_rate_stdev_factor',
  'failure_percentage_minimum_hosts',
  'failure_percentage_request_volume',
  'consecutive_5xx',
  'consecutive_gateway_failure',
  'consecutive_local_origin_failure',
] as const;

/**
 * `Cluster.outlier_detection` by the rules of gRFC A50: durations "must have non-negative values", percentages "must have values less
 * than or equal to 100". A cluster that breaks them is refused, whether or not anything is ejected by them.
 */
export function checkOutlierDetection(cluster: Message): void {
  const config = cluster.message('outlier_detection');
  if (config === undefined) return;
  for (const name of DURATIONS) config.duration(name);
  for (const name of PERCENTS) config.percentValue(name);
  for (const name of COUNTS) config.uint32Value(name);
}
