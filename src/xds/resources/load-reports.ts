import type { LoadReportConfig } from '../../core/model/cluster.js';
import type { ResourceOrigin } from '../origin.js';
import type { Message } from './message.js';

const TOP_LEVEL = new Set(['cpu_utilization', 'mem_utilization', 'application_utilization']);
const NAMED = 'named_metrics.';
const ALL_NAMED = 'named_metrics.*';

/** `Cluster.lrs_server`: who wants to know of the load, and what of it. Undefined: nobody. */
export function loadReports(cluster: Message, origin: ResourceOrigin): LoadReportConfig | undefined {
  const server = cluster.message('lrs_server');
  const metrics = cluster.texts('lrs_report_endpoint_metrics');
  if (server === undefined) return undefined;
  // "must be set to self" - A27: the server that sent the cluster.
  if (!server.has('self')) throw cluster.error('lrs_server', 'must be self (gRFC A27)');
  return { server: origin.server, metrics: supported(metrics) };
}

/** "should ignore any strings that do not match a currently supported ORCA field" - A85. Each once; `*` covers all that are named. */
function supported(metrics: readonly string[]): readonly string[] {
  const all = metrics.includes(ALL_NAMED);
  const isSupported = (metric: string): boolean =>
    TOP_LEVEL.has(metric) || (all ? metric === ALL_NAMED : metric.startsWith(NAMED) && metric.length > NAMED.length);
  return [...new Set(metrics.filter(isSupported))];
}
