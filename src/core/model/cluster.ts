import type { EndpointConfig, HealthStatus } from './endpoint.js';
import type { HeaderMutation } from './route.js';

/** How an endpoint is chosen. Each kind has a file in `client/balancer/`. */
export type BalancerConfig =
  | { readonly kind: 'round_robin' }
  | { readonly kind: 'random' }
  /**
   * Envoy `LeastRequest.choice_count`, gRFC A48: clipped to [2, 10]. With `activeRequestBias`, Envoy's weighted kind where weights differ: weight ÷
   * (active requests + 1) ^ bias, in a schedule; absent: draws by weight and compares by load.
   */
  | { readonly kind: 'least_request'; readonly choiceCount: number; readonly activeRequestBias?: number | undefined }
  /** Finagle's p2cPeakEwma. */
  | { readonly kind: 'peak_ewma'; readonly decayMs: number; readonly defaultRttMs: number }
  | WeightedRoundRobinConfig
  /** gRFC A42, A76. Sizes are of the ring. `requestHashHeader`: hash this header in place of the route's hash policies. */
  | {
      readonly kind: 'ring_hash';
      readonly minSize: number;
      readonly maxSize: number;
      readonly requestHashHeader?: string | undefined;
      /** Hash `EndpointConfig.hostname` in place of the address (`use_hostname_for_hashing`). */
      readonly useHostname?: boolean | undefined;
    }
  | { readonly kind: 'maglev'; readonly tableSize: number; readonly useHostname?: boolean | undefined }
  /** gRFC A62: one endpoint, the first that connects, and all calls to it. */
  | { readonly kind: 'pick_first'; readonly shuffle: boolean }
  /** One that the application has registered under this name (gRFC A52), with its part of the configuration. */
  | { readonly kind: 'custom'; readonly name: string; readonly config: unknown };

/** Weights by what the endpoints report of themselves (gRFC A58, A114). */
export interface WeightedRoundRobinConfig {
  readonly kind: 'weighted_round_robin';
  /** Reports come on a stream of their own, not with the replies. Default false. */
  readonly outOfBand: boolean;
  /** Milliseconds between them. Default 10_000. */
  readonly outOfBandPeriodMs: number;
  /** How long an endpoint must have reported before it is believed, in milliseconds. Default 10_000; 0 for not at all. */
  readonly blackoutMs: number;
  /** How long a report is believed, in milliseconds. Default 180_000. */
  readonly expirationMs: number;
  /** Milliseconds between two looks at the weights. Default 1_000, at least 100. */
  readonly updateMs: number;
  /** What an error per second weighs against utilisation. Default 1. */
  readonly errorPenalty: number;
  /** Metrics to take for utilisation, the highest of them (gRFC A114); empty: application utilisation, else CPU. */
  readonly metrics: readonly string[];
}

export const DEFAULT_WEIGHTED_ROUND_ROBIN: WeightedRoundRobinConfig = {
  kind: 'weighted_round_robin',
  outOfBand: false,
  outOfBandPeriodMs: 10_000,
  blackoutMs: 10_000,
  expirationMs: 180_000,
  updateMs: 1_000,
  errorPenalty: 1,
  metrics: [],
};

/** An endpoint that has just become usable gets its share little by little (Envoy `SlowStartConfig`, Istio `warmup`). */
export interface SlowStartConfig {
  readonly windowMs: number;
  /** 1: linear; more: quicker at first. Default 1. */
  readonly aggression: number;
  /** Least share of its weight, in (0, 1]. Default 0.1. */
  readonly minWeight: number;
}

/** How traffic is shared among localities of one priority. */
export type LocalityConfig =
  /** By their weights (gRPC `wrr_locality`, Envoy `locality_weighted_lb_config`): the default. */
  | { readonly kind: 'weighted' }
  /** By their endpoints' weights alone. */
  | { readonly kind: 'none' }
  /** To the caller's own zone as far as its share of the endpoints goes (Envoy `zone_aware_lb_config`). */
  | {
      readonly kind: 'zone_aware';
      /** Share of calls for which it holds, in [0, 1]. Default 1. */
      readonly enabled: number;
      /** With fewer endpoints it does not hold. Default 6. */
      readonly minClusterSize: number;
      /** All calls to the own zone, as long as it has this many usable endpoints; undefined: in proportion (Envoy `force_local_zone`). */
      readonly forceLocal: number | undefined;
      /** Refuse calls in panic in place of sending them anywhere. */
      readonly failTrafficOnPanic: boolean;
    };

/** Envoy's way with priorities; absent, gRFC A56's holds: a priority serves all or nothing. */
export interface PriorityConfig {
  /** A priority takes its whole share as long as its usable share × this is 1 or more. Default 1.4. */
  readonly overprovisioningFactor: number;
}

/** Endpoints by label (Envoy `LbSubsetConfig`, Istio `subsets`). */
export interface SubsetConfig {
  /** For calls whose labels no endpoint has: fail, any endpoint, or those with `defaultSubset`. */
  readonly fallback: 'none' | 'any' | 'default';
  readonly defaultSubset: Readonly<Record<string, string>>;
  /** Sets of label names by which calls may ask. */
  readonly selectors: readonly {
    readonly keys: readonly string[];
    readonly fallback?: SubsetConfig['fallback'] | undefined;
  }[];
}

/** Only some of the endpoints for each client, so that connections do not grow as clients × endpoints. */
export type ApertureConfig =
  /** gRFC A68: the `size` endpoints that rank first for this client. */
  | { readonly kind: 'random_subsetting'; readonly size: number }
  /** Finagle's deterministic aperture: this client's arc of the ring, with at least `floor` endpoints (default 12). */
  | {
      readonly kind: 'deterministic_aperture';
      readonly floor: number;
      /** This client's place among its peers; undefined: asked of `MeshOptions.peer`, and without one random subsetting of `floor`. */
      readonly peer: { readonly index: number; readonly count: number } | undefined;
    };

/** Envoy `OutlierDetection`, whose field each is in milliseconds, counts, or shares in [0, 1]. gRFC A50 knows the two statistical kinds. */
export interface OutlierConfig {
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionJitterMs: number;
  /** Share of endpoints that may be ejected at once. */
  readonly maxEjection: number;
  /** Undefined: this kind does not eject. `enforcing`: in [0, 1]. */
  readonly consecutive5xx: { readonly count: number; readonly enforcing: number } | undefined;
  readonly consecutiveGatewayFailure: { readonly count: number; readonly enforcing: number } | undefined;
  /** Errors of connections and timeouts on their own, not as a 5xx (`split_external_local_origin_errors`). */
  readonly consecutiveLocalOriginFailure: { readonly count: number; readonly enforcing: number } | undefined;
  readonly splitLocalOrigin: boolean;
  readonly successRate: SuccessRateEjection | undefined;
  readonly localOriginSuccessRate: SuccessRateEjection | undefined;
  readonly failurePercentage: FailurePercentageEjection | undefined;
  readonly localOriginFailurePercentage: FailurePercentageEjection | undefined;
  /** A passed active check brings an ejected endpoint back (`successful_active_health_check_uneject_host`). Default true. */
  readonly unejectOnHealthCheck: boolean;
  /** One endpoint may be ejected whatever `maxEjection` says (`always_eject_one_host`). Default true; over xDS false. */
  readonly alwaysEjectOne: boolean;
}

export interface SuccessRateEjection {
  /** Standard deviations below the mean. Default 1.9. */
  readonly stdevFactor: number;
  readonly enforcing: number;
  readonly minimumHosts: number;
  readonly requestVolume: number;
}

export interface FailurePercentageEjection {
  /** Share of failures from which on it is ejected. Default 0.85. */
  readonly threshold: number;
  readonly enforcing: number;
  readonly minimumHosts: number;
  readonly requestVolume: number;
}

/** An active check (Envoy `core.v3.HealthCheck`). */
export interface HealthCheckConfig {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** Of the first check: waited before it, at random up to this long. */
  readonly initialJitterMs: number;
  /** Added to each interval at random, up to this long; and up to this share of it. */
  readonly intervalJitterMs: number;
  readonly intervalJitterShare: number;
  /** Interval while there is no traffic; while unhealthy; and for the check that follows a change. Undefined: `intervalMs`. */
  readonly noTrafficIntervalMs: number | undefined;
  readonly unhealthyIntervalMs: number | undefined;
  readonly unhealthyEdgeIntervalMs: number | undefined;
  readonly healthyEdgeIntervalMs: number | undefined;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** Port of every endpoint; undefined: the endpoint's own (`EndpointConfig.healthCheckPort`), or that of its calls. */
  readonly port: number | undefined;
  readonly reuseConnection: boolean;
  readonly check:
    | {
        readonly kind: 'http';
        readonly host: string | undefined;
        readonly path: string;
        readonly method: string;
        readonly http2: boolean;
        /** Half-open ranges of statuses. Default 200 alone. */
        readonly expected: readonly { readonly start: number; readonly end: number }[];
        /** Those that count towards `unhealthyThreshold`; others that are not expected are unhealthy at once (`retriable_statuses`). Absent: none. */
        readonly retriable?: readonly { readonly start: number; readonly end: number }[] | undefined;
        readonly requestHeaders: HeaderMutation | undefined;
      }
    /** `grpc.health.v1.Health/Check`. */
    | { readonly kind: 'grpc'; readonly service: string; readonly authority: string | undefined }
    /** Bytes to send, and those that must come back, in order; both empty: to connect is enough. */
    | { readonly kind: 'tcp'; readonly send: Uint8Array; readonly receive: readonly Uint8Array[] };
}

/** Limits and care of connections. */
export interface ConnectionConfig {
  /** Connections opened to each endpoint before there are calls, and opened again when they end. Default 0 (Envoy `preconnect_policy`). */
  readonly warm: number;
  /** A connection takes no new calls after this long, in milliseconds; 0: no limit (Envoy `max_connection_duration`). */
  readonly maxLifetimeMs: number;
  /** Nor after so many calls; 0: no limit (`max_requests_per_connection`). */
  readonly maxRequests: number;
  /** HTTP/2 PINGs (`connection_keepalive`, gRPC keepalive); undefined: as the transport does by itself. */
  readonly keepAlive:
    | { readonly intervalMs: number; readonly timeoutMs: number; readonly withoutCalls: boolean }
    | undefined;
}

export const DEFAULT_CONNECTIONS: ConnectionConfig = {
  warm: 0,
  maxLifetimeMs: 0,
  maxRequests: 0,
  keepAlive: undefined,
};

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
}

export const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;
export const DEFAULT_IDLE_TIMEOUT_MS = 300_000;
