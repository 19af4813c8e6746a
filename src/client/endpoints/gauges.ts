import type { Meter } from '../../core/meter.js';
import type { Cluster } from './cluster.js';

/** What a cluster has under way, by gauge name; read when somebody scrapes. Each is described in docs/telemetry.md. */
export const CLUSTER_GAUGES: Readonly<Record<string, (cluster: Cluster) => number>> = {
  'mesh.cluster.requests_active': (cluster) => cluster.limits.requests,
  'mesh.cluster.requests_pending': (cluster) => cluster.limits.pending,
  'mesh.cluster.retries_active': (cluster) => cluster.limits.retries,
  'mesh.cluster.connections': (cluster) => cluster.limits.connections,
  'mesh.cluster.endpoints': (cluster) => cluster.endpoints.length,
  'mesh.cluster.retry_budget': (cluster) => cluster.budget.balance,
};

/** Offers the gauges until the result is called. */
export function offerGauges(cluster: Cluster, meter: Meter): () => void {
  const { name, scope } = cluster.config;
  // Two of one name would be one series.
  const labels = { 'mesh.cluster': name, ...(scope === undefined ? {} : { 'grpc.target': scope }) };
  const stops = Object.entries(CLUSTER_GAUGES).map(([gauge, read]) => meter.gauge(gauge, labels, () => read(cluster)));
  return () => {
    for (const stop of stops) stop();
  };
}
