import type {
  ApertureConfig,
  BalancerConfig,
  LocalityConfig,
  PriorityConfig,
  SlowStartConfig,
  SubsetConfig,
} from './balancer.js';
import type { BreakerConfig } from './breaker.js';
import type { CircuitLimitsConfig } from './circuit-limits.js';
import type { ConnectionConfig } from './connection.js';
import type { EndpointConfig, HealthStatus } from './endpoint.js';
import type { FallbackConfig } from './fallback.js';
import type { HealthCheckConfig } from './health-check.js';
import type { OutlierConfig } from './outlier.js';
import type { RetryBudgetConfig } from './retry-budget.js';
import type { UpstreamTls } from './tls.js';

/** Load reports that the control plane asks for (`Cluster.lrs_server`, gRFC A27). */
export interface LoadReportConfig {
  /** The server that gets them: the one that the cluster came from. A key of the bootstrap's servers, not for people. */
  readonly server: string;
  /** Backend metrics to report (`lrs_report_endpoint_metrics`); empty: none ("nothing will be propagated" - gRFC A85). */
  readonly metrics: readonly string[];
}

export interface ClusterConfig {
  readonly kind: 'leaf';
  readonly name: string;
  /**
   * The target that alone sees the cluster so, because its configuration comes from a control plane that stands in for the first (gRFC A71). Clusters of
   * one name and of different scopes are different ones. Absent: it is everybody's.
   */
  readonly scope?: string | undefined;
  /** `EdsClusterConfig.service_name`, or the cluster's name; undefined when its endpoints do not come over EDS. */
  readonly edsServiceName: string | undefined;
  /** Undefined: nobody asks. */
  readonly loadReports: LoadReportConfig | undefined;
  /** Name for statistics and logs; the name itself when not set (`alt_stat_name`). */
  readonly statName: string;
  readonly balancer: BalancerConfig;
  readonly limits: CircuitLimitsConfig;
  readonly retryBudget: RetryBudgetConfig;
  /** Absent: no breaker for the destination as a whole. */
  readonly breaker?: BreakerConfig | undefined;
  /** Absent or empty: a typed error at once. */
  readonly fallback?: readonly FallbackConfig[] | undefined;
  /** What calls other than gRPC speak to the endpoints; gRPC is always HTTP/2. */
  readonly protocol: 'http1' | 'http2';
  /** Default 1_000 (Linkerd); Envoy's `connect_timeout` when given, which defaults to 5 s there. */
  readonly connectTimeoutMs: number;
  /** Connections without a request are closed after this. Default 300_000. */
  readonly idleTimeoutMs: number;
  /** Undefined: plain text. */
  readonly tls: UpstreamTls | undefined;
  readonly endpoints: readonly EndpointConfig[];
  /** Share of calls to drop on purpose, by category (EDS `drop_overloads`), each in [0, 1]. */
  readonly drops: readonly { readonly category: string; readonly share: number }[];
  /** Absent: by weight. */
  readonly locality?: LocalityConfig | undefined;
  /** Absent: gRFC A56's way. */
  readonly priorities?: PriorityConfig | undefined;
  /**
   * When less than this share of endpoints is usable, all are used: what is known of them says nothing then (Envoy `healthy_panic_threshold`, 0.5
   * there). Absent: only when none is usable.
   */
  readonly panicThreshold?: number | undefined;
  readonly slowStart?: SlowStartConfig | undefined;
  readonly subsets?: SubsetConfig | undefined;
  readonly aperture?: ApertureConfig | undefined;
  readonly outlier?: OutlierConfig | undefined;
  readonly healthChecks?: readonly HealthCheckConfig[] | undefined;
  /** Name of the service whose health each endpoint is asked to report over its connection, for gRPC (gRFC A17); '' is the server as a whole. */
  readonly healthWatch?: { readonly service: string } | undefined;
  readonly connections?: ConnectionConfig | undefined;
  /**
   * With which of these a session keeps its endpoint (`override_host_status`, gRFC A55); none: sessions do not count. Absent: unknown, healthy and
   * degraded (Envoy's default, and gRPC's, which has no degraded ones).
   */
  readonly sessionStatuses?: readonly HealthStatus[] | undefined;
}

/**
 * A cluster of clusters (Envoy's aggregate cluster; gRFC A37, A75): the first of its leaves that can serve does. What it has of its own is
 * what concerns whole calls; limits, balancing and drops are each leaf's.
 */
export interface AggregateClusterConfig {
  readonly kind: 'aggregate';
  readonly name: string;
  readonly statName: string;
  /** Names of clusters that are no aggregates, in order of preference, each once. All are in `TargetConfig.clusters`. */
  readonly leaves: readonly string[];
  readonly retryBudget: RetryBudgetConfig;
  readonly maxRetries: number | undefined;
  /** As `CircuitLimitsConfig.activeRetryBudget`, of the attempts that go to any of the leaves. */
  readonly activeRetryBudget?: CircuitLimitsConfig['activeRetryBudget'];
  readonly fallback?: readonly FallbackConfig[] | undefined;
}
