import type { LoadReportConfig } from './model/cluster.js';
import type { Locality } from './model/endpoint.js';
import type { BackendMetrics } from './orca.js';

/**
 * What the request path writes down for a control plane that asks for load reports (LRS; gRFC A27, A64, A85). Counting only: who sends the
 * sums, and when, is `xds/lrs/`'s matter.
 */
export interface LoadRecorder {
  /** The account of one cluster; the same object for the same cluster, service and server, as long as anybody has it. */
  cluster(cluster: string, edsServiceName: string | undefined, config: LoadReportConfig): ClusterLoad;
}

/** The account of one cluster. Given back with `release`; what was counted until then is still reported. */
export interface ClusterLoad {
  locality(locality: Locality): LocalityLoad;
  /** A call that was dropped before an endpoint was chosen: by a category of EDS's `drop_overloads`, or (undefined) by a circuit breaker. */
  dropped(category: string | undefined): void;
  release(): void;
}

/** The account of one locality of a cluster. Each `started` is followed by one `finished` or `unsent`. */
export interface LocalityLoad {
  started(): void;
  /** `metrics`: what the backend said of itself in the trailers of the reply, when it did. */
  finished(succeeded: boolean, metrics: BackendMetrics | undefined): void;
  /** The endpoint could not be had, and the call never left: as if it had not been started, for gRPC would not have picked the endpoint. */
  unsent(): void;
  /** False: nobody asked for backend metrics, so that they need not be read. */
  readonly wantsMetrics: boolean;
}
