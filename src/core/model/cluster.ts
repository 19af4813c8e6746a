import type { EndpointConfig, HealthStatus } from './endpoint.js';
import type { HeaderMutation } from './route.js';
import type { UpstreamTls } from './tls.js';

/** How an endpoint is chosen. Each kind has a file in `client/balancer/`. */
export type BalancerConfig =
  | { readonly kind: 'round_robin' }
  | { readonly kind: 'random' }
  /**
   * Envoy `LeastRequest.choice_count`, gRFC A48: clipped to [2, 10]. With `activeRequestBias`, Envoy's weighted kind where weights differ: weight ÷
   * (active requests + 1) ^ bias, in a schedule; absent: draws by weight and compares by load.
   */
  | {
      readonly kind: 'least_request';
      readonly choiceCount: number;
      readonly activeRequestBias?: number | undefined;
      /** Every endpoint is looked at, not `choiceCount` of them; among equals chance decides (Envoy `selection_method: FULL_SCAN`). Default false. */
      readonly fullScan?: boolean | undefined;
    }
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
      /**
       * No endpoint has more than this times the average load of calls under way; a call beyond goes on to the next one (bounded loads, Envoy
       * `hash_balance_factor` ÷ 100). At least 1; absent: no bound.
       */
      readonly balanceFactor?: number | undefined;
    }
  | {
      readonly kind: 'maglev';
      readonly tableSize: number;
      readonly useHostname?: boolean | undefined;
      /** As of ring hash. */
      readonly balanceFactor?: number | undefined;
    }
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
  /** For calls whose labels no endpoint has: fail, any endpoint, those with `defaultSubset`, or (of a selector only) those that have `fallbackKeys` of them. */
  readonly fallback: 'none' | 'any' | 'default';
  readonly defaultSubset: Readonly<Record<string, string>>;
  /** Sets of label names by which calls may ask. */
  readonly selectors: readonly {
    readonly keys: readonly string[];
    readonly fallback?: SubsetConfig['fallback'] | 'keys' | undefined;
    /** Some of `keys`: what is asked for again when no endpoint has all (Envoy `KEYS_SUBSET`). Only with `fallback: 'keys'`. */
    readonly fallbackKeys?: readonly string[] | undefined;
  }[];
}

/** Only some of the endpoints of each priority for each client, so that connections do not grow as clients × endpoints; whatever connects knows these only. */
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
  /** Interval without traffic of an endpoint that is healthy (`no_traffic_healthy_interval`). Absent: `noTrafficIntervalMs`. */
  readonly noTrafficHealthyIntervalMs?: number | undefined;
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
  /**
   * Envoy's `retry_budget`: retries under way are at most this share of the calls under way and waiting, and `minConcurrency` in any case. Where it is set,
   * `maxRetries` and `ClusterConfig.retryBudget` do not count. Shares in [0, 1]; Envoy's defaults 0.2 and 3. Absent: those two decide.
   */
  readonly activeRetryBudget?: { readonly share: number; readonly minConcurrency: number } | undefined;
  /** Limits of calls with priority `high`, counted apart (Envoy's thresholds for `HIGH`). Absent: they share those of the others, where Envoy has 1024 each. */
  readonly high?: PriorityLimits | undefined;
  /** What calls with priority `batch` may have of `maxRequests` and `maxPendingRequests`, in [0, 1]. Default 0.1 (Netflix concurrency-limits). */
  readonly batchShare?: number | undefined;
}

/** `CircuitBreakers.Thresholds` of one priority. */
export interface PriorityLimits {
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
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

/**
 * The breaker of a whole destination: while it is open calls fail at once, or take the fallback; after a penalty a few probe, and close it or open it for
 * twice as long. Trips by whichever is configured first. Numbers of Linkerd's and Finagle's failure accrual (defaults.md).
 */
export interface BreakerConfig {
  /** Failures in a row; undefined: not counted. Default 7 (Linkerd). */
  readonly consecutiveFailures: number | undefined;
  /** Undefined: not looked at. Default: below 0.8 over 10 s with at least 5 calls, in 10 buckets (Linkerd). */
  readonly successRate:
    | { readonly threshold: number; readonly windowMs: number; readonly minRequests: number; readonly buckets: number }
    | undefined;
  /** How long it stays open at first and at most, in milliseconds; doubles with each failed probe. Defaults 1_000 and 60_000. */
  readonly basePenaltyMs: number;
  readonly maxPenaltyMs: number;
  /** Share of the penalty that is added at random, in [0, 1]. Default 0.5. */
  readonly jitter: number;
  /** Real calls let through at once when the penalty is over; all must succeed. Default 1. */
  readonly probes: number;
}

export const DEFAULT_BREAKER: BreakerConfig = {
  consecutiveFailures: 7,
  successRate: { threshold: 0.8, windowMs: 10_000, minRequests: 5, buckets: 10 },
  basePenaltyMs: 1_000,
  maxPenaltyMs: 60_000,
  jitter: 0.5,
  probes: 1,
};

/** What stands in for a reply when there is none to be had. The kinds in order: the first that has an answer gives it. */
export type FallbackConfig =
  /** Another cluster, once; it needs no fallback of its own. */
  | { readonly kind: 'service'; readonly cluster: string }
  /** The last good reply to the same GET or HEAD, or to the same idempotent gRPC message (RFC 5861 `stale-if-error`). */
  | { readonly kind: 'stale'; readonly maxAgeMs: number; readonly maxEntries: number; readonly maxEntryBytes: number }
  | {
      readonly kind: 'static';
      readonly status: number;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
      readonly body: Uint8Array;
      /** For gRPC calls: the status in place of `status`; `body` is then the message. Default 0. */
      readonly grpcStatus: number;
    }
  /** A function that the application gave under this name (`MeshOptions.fallbacks`). */
  | { readonly kind: 'function'; readonly name: string };

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

export const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;
export const DEFAULT_IDLE_TIMEOUT_MS = 300_000;
