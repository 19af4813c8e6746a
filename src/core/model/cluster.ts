import type { EndpointConfig } from './endpoint.js';

/** How an endpoint is chosen. Each kind has a file in `client/balancer/`. */
export type BalancerConfig =
  | { readonly kind: 'round_robin' }
  | { readonly kind: 'random' }
  /** Envoy `LeastRequest.choice_count`, gRFC A48: clipped to [2, 10]. */
  | { readonly kind: 'least_request'; readonly choiceCount: number }
  /** Finagle's p2cPeakEwma. */
  | { readonly kind: 'peak_ewma'; readonly decayMs: number; readonly defaultRttMs: number };

/** linkerd2-proxy, profile.rs and control.rs: decay 10 s, an endpoint not yet seen counts as 30 ms. */
export const DEFAULT_BALANCER: BalancerConfig = { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 };

/** Envoy `CircuitBreakers.Thresholds`; defaults 1024, 1024, 1024, 3. */
export interface CircuitLimitsConfig {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  /** Retries under way at once; undefined: the retry budget decides alone, as `retry_budget` does in Envoy. */
  readonly maxRetries: number | undefined;
}

export const DEFAULT_CIRCUIT_LIMITS: CircuitLimitsConfig = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: undefined,
};

/** Gateway API `retryConstraint` (GEP-3388), Finagle's RetryBudget: 20 % of requests plus 10 a second, over 10 s. */
export interface RetryBudgetConfig {
  /** Share of requests that may be retried, as a ratio. Default 0.2. */
  readonly retryRatio: number;
  /** Retries per second allowed without any request. Default 10. */
  readonly minRetriesPerSecond: number;
  /** How long a request counts, in milliseconds. Default 10_000. */
  readonly ttlMs: number;
}

export const DEFAULT_RETRY_BUDGET: RetryBudgetConfig = { retryRatio: 0.2, minRetriesPerSecond: 10, ttlMs: 10_000 };

/** TLS to an external service under its own name, with the system's roots. (Mesh identity comes with `identity/`.) */
export interface TlsOrigination {
  /** Server name sent and verified. */
  readonly sni: string;
}

/** Load reports that the control plane asks for (`Cluster.lrs_server`, gRFC A27). */
export interface LoadReportConfig {
  /** The server that gets them: the one that the cluster came from. A key of the bootstrap's servers, not for people. */
  readonly server: string;
  /** Backend metrics to report (gRFC A85 `lrs_report_endpoint_metrics`); empty: none but those that gRFC A64 names. */
  readonly metrics: readonly string[];
}

export interface ClusterConfig {
  readonly kind: 'leaf';
  readonly name: string;
  /** `EdsClusterConfig.service_name`, or the cluster's name; undefined when its endpoints do not come over EDS. */
  readonly edsServiceName: string | undefined;
  /** Undefined: nobody asks. */
  readonly loadReports: LoadReportConfig | undefined;
  /** Name for statistics and logs; the name itself when not set (`alt_stat_name`). */
  readonly statName: string;
  readonly balancer: BalancerConfig;
  readonly limits: CircuitLimitsConfig;
  readonly retryBudget: RetryBudgetConfig;
  /** What calls other than gRPC speak to the endpoints; gRPC is always HTTP/2. */
  readonly protocol: 'http1' | 'http2';
  /** Default 1_000 (Linkerd); Envoy's `connect_timeout` when given, which defaults to 5 s there. */
  readonly connectTimeoutMs: number;
  /** Connections without a request are closed after this. Default 300_000. */
  readonly idleTimeoutMs: number;
  readonly tls: TlsOrigination | undefined;
  readonly endpoints: readonly EndpointConfig[];
  /** Share of calls to drop on purpose, by category (EDS `drop_overloads`), each in [0, 1]. */
  readonly drops: readonly { readonly category: string; readonly share: number }[];
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
}

export const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;
export const DEFAULT_IDLE_TIMEOUT_MS = 300_000;
