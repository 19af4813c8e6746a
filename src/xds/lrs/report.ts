import type { ClusterCounts } from './cluster-account.js';
import type { LocalityCounts } from './locality-account.js';
import type { ClusterStats, LoadMetricStats, LoadStatsRequest, UpstreamLocalityStats } from './messages.js';
import type { MetricSum } from './metric-sums.js';

/** "propagated to the new LRS fields of the same names" - A85 */
const OWN_FIELDS = ['cpu_utilization', 'mem_utilization', 'application_utilization'] as const;

/** The counters are all zero, and nothing is under way. */
export function isZero(counts: readonly ClusterCounts[]): boolean {
  return counts.every((c) => c.localities.length === 0 && c.drops.size === 0 && c.uncategorized === 0);
}

export function loadStatsRequest(counts: readonly ClusterCounts[]): LoadStatsRequest {
  return { cluster_stats: counts.map(clusterStats) };
}

function clusterStats(counts: ClusterCounts): ClusterStats {
  const { cluster, service, localities, drops } = counts;
  let dropped = counts.uncategorized;
  for (const calls of drops.values()) dropped += calls;
  const interval = Math.max(0, counts.until - counts.since);
  const seconds = Math.floor(interval / 1_000);
  return {
    cluster_name: cluster,
    ...(service === undefined ? {} : { cluster_service_name: service }),
    upstream_locality_stats: localities.map(localityStats),
    // "covers requests deliberately dropped by the drop_overload policy and circuit breaking" - Envoy, load_report.proto
    total_dropped_requests: dropped,
    dropped_requests: [...drops].map(([category, calls]) => ({ category, dropped_count: calls })),
    load_report_interval: { seconds, nanos: Math.floor((interval - seconds * 1_000) * 1e6) },
  };
}

function localityStats(counts: LocalityCounts): UpstreamLocalityStats {
  const { region, zone, subZone } = counts.locality;
  const { metrics } = counts;
  const own: { [field in (typeof OWN_FIELDS)[number]]?: LoadMetricStats } = {};
  for (const field of OWN_FIELDS) {
    const sum = metrics.get(field);
    if (sum !== undefined) own[field] = metricStats(sum);
  }
  const others = [...metrics].filter(([name]) => !Object.hasOwn(own, name));
  return {
    locality: {
      ...(region === '' ? {} : { region }),
      ...(zone === '' ? {} : { zone }),
      ...(subZone === '' ? {} : { sub_zone: subZone }),
    },
    total_issued_requests: counts.issued,
    total_successful_requests: counts.succeeded,
    total_error_requests: counts.failed,
    total_requests_in_progress: counts.inProgress,
    ...own,
    load_metric_stats: others.map(([name, sum]) => ({ metric_name: name, ...metricStats(sum) })),
  };
}

const metricStats = ({ requests, total }: MetricSum): LoadMetricStats => ({
  num_requests_finished_with_metric: requests,
  total_metric_value: total,
});
