/** What travels over LRS (envoy/service/load_stats/v3/lrs.proto), the fields that inmesh reads or writes, in the protos' shape. */

export const LRS_PATH = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats';
export const LOAD_STATS_REQUEST = 'envoy.service.load_stats.v3.LoadStatsRequest';
export const LOAD_STATS_RESPONSE = 'envoy.service.load_stats.v3.LoadStatsResponse';

/** "Only clients that advertise the capability in their client_features field will honor" send_all_clusters. */
export const SEND_ALL_CLUSTERS = 'envoy.lrs.supports_send_all_clusters';

interface ProtoDuration {
  readonly seconds: number;
  readonly nanos: number;
}

export interface LoadStatsResponse {
  readonly clusters?: readonly string[];
  readonly send_all_clusters?: boolean;
  readonly load_reporting_interval?: Partial<ProtoDuration>;
}

export interface LoadMetricStats {
  readonly num_requests_finished_with_metric: number;
  readonly total_metric_value: number;
}

export interface UpstreamLocalityStats {
  readonly locality: { readonly region?: string; readonly zone?: string; readonly sub_zone?: string };
  readonly total_issued_requests: number;
  readonly total_successful_requests: number;
  readonly total_error_requests: number;
  readonly total_requests_in_progress: number;
  readonly cpu_utilization?: LoadMetricStats;
  readonly mem_utilization?: LoadMetricStats;
  readonly application_utilization?: LoadMetricStats;
  readonly load_metric_stats?: readonly (LoadMetricStats & { readonly metric_name: string })[];
}

export interface ClusterStats {
  readonly cluster_name: string;
  readonly cluster_service_name?: string;
  readonly upstream_locality_stats: readonly UpstreamLocalityStats[];
  readonly total_dropped_requests: number;
  readonly dropped_requests: readonly { readonly category: string; readonly dropped_count: number }[];
  readonly load_report_interval: ProtoDuration;
}

export interface LoadStatsRequest {
  readonly cluster_stats?: readonly ClusterStats[];
}
