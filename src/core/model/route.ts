import type { JwtAuthentication } from './authentication.js';
import type { RouteAuthorization } from './authorization.js';
import type { ExtAuthz } from './ext-authz.js';
import type { FaultConfig } from './fault.js';
import type { RouteLimits } from './limit.js';
import type { HeaderMatch, RouteMatch, SafeRegex, StringMatch } from './match.js';

/** One level's changes to headers, in Envoy's order: remove, then what overwrites, then what adds; all values from the headers as they were then. */
export interface HeaderMutation {
  readonly remove: readonly string[];
  readonly set: readonly {
    readonly name: string;
    /** A substitution format string of Envoy's: `%REQ(x-user)%`, `%%` for one percent sign. Checked when it was decoded. */
    readonly value: string;
    /** Envoy `HeaderAppendAction`. */
    readonly action: 'append' | 'addIfAbsent' | 'overwrite' | 'overwriteIfExists';
    /** Whether a header whose value came out empty is sent (`keep_empty_value`). Absent: it is not. */
    readonly keepEmpty?: boolean | undefined;
  }[];
  /** The changes of the next level (route, virtual host, route configuration), made after these. */
  readonly next?: HeaderMutation | undefined;
}

export interface WeightedCluster {
  readonly name: string;
  readonly weight: number;
  readonly requestHeaders: HeaderMutation | undefined;
  readonly responseHeaders: HeaderMutation | undefined;
  /** Endpoints with these labels only (`metadata_match` of `envoy.lb`), over those that the action asks for. */
  readonly subset?: SubsetCriteria | undefined;
  /** Host that this cluster's calls go under (`ClusterWeight.host_rewrite_literal`); a rewrite by the action wins (Envoy). */
  readonly hostRewrite?: string | undefined;
  /** Stands in for both of the route where this cluster is chosen (`ClusterWeight.typed_per_filter_config`, gRFC A39). Absent: the route's. */
  readonly own?: Pick<Route, 'cors' | 'session' | 'limits' | 'faults'> | undefined;
}

/** Labels that an endpoint must have, exactly (Envoy's `metadata_match`, Istio's subsets). */
export type SubsetCriteria = Readonly<Record<string, string>>;

/** On what a call is tried again. Envoy's `retry_on` names; the gRPC ones apply to gRPC calls. */
export type RetryCondition =
  | '5xx'
  | 'gateway-error'
  | 'reset'
  | 'reset-before-request'
  | 'connect-failure'
  | 'refused-stream'
  | 'retriable-4xx'
  | 'retriable-status-codes'
  | 'retriable-headers'
  | 'envoy-ratelimited'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'internal'
  | 'resource-exhausted'
  | 'unavailable';

export interface RetryConfig {
  /** Empty: never. */
  readonly on: ReadonlySet<RetryCondition>;
  /** HTTP statuses for `retriable-status-codes`. */
  readonly statusCodes: ReadonlySet<number>;
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** Limit of each attempt in milliseconds; undefined: none but the call's deadline. */
  readonly perTryTimeoutMs: number | undefined;
  readonly baseMs: number;
  readonly maxMs: number;
  /** For `retriable-headers`: of the reply, any matches. */
  readonly retriableHeaders?: readonly HeaderMatch[] | undefined;
  /** Only requests of which any of these matches are retried (`retriable_request_headers`). */
  readonly retriableRequestHeaders?: readonly HeaderMatch[] | undefined;
  /** Time in which nothing arrives after which an attempt is given up, in milliseconds (`per_try_idle_timeout`). */
  readonly perTryIdleTimeoutMs?: number | undefined;
  /** How long a server that says "not now" is left alone, by its own word (`rate_limited_retry_back_off`). Absent: Retry-After, as defaults.md says. */
  readonly rateLimitedBackOff?: RateLimitedBackOff | undefined;
  /** Envoy's `retry_host_predicate` and `host_selection_retry_max_attempts`. Absent: other endpoints first. */
  readonly hostSelection?: { readonly avoidPrevious: boolean; readonly maxAttempts: number } | undefined;
  /** True: configured by name, so a non-idempotent method is retried too (Envoy), unless the call itself says that it is not idempotent. False: only when it is safe. */
  readonly regardlessOfMethod: boolean;
}

/** `RetryPolicy.RateLimitedRetryBackOff`: the first of these headers that the reply has says when to come back. */
export interface RateLimitedBackOff {
  /** `seconds` from now, or a `unix` time in seconds. */
  readonly headers: readonly { readonly name: string; readonly format: 'seconds' | 'unix' }[];
  /** A longer wait than this, in milliseconds, is not believed; the ordinary back-off is used. Default 300_000. */
  readonly maxMs: number;
}

/**
 * A second attempt beside the first that is slow; the first good answer wins and the others are cancelled (Finagle's backup requests, gRFC A6
 * `hedgingPolicy`, Envoy `hedge_policy`). Only calls that may be repeated, under the same budget as retries.
 */
export interface HedgeConfig {
  /** Attempts at most, the first included; 2 to 5 (gRFC A6 caps at 5). Default 2. */
  readonly maxAttempts: number;
  /** Milliseconds after which the next one goes out; undefined: the live `percentile` of the destination's latencies. */
  readonly delayMs: number | undefined;
  /** In (0, 1). Default 0.95. Not used before 100 calls have been seen in 10 s (Finagle BackupRequestFilter). */
  readonly percentile: number;
  /** Extra load in share of calls, in (0, 1]. Default 0.05, what the 95th percentile brings by itself. */
  readonly maxExtraLoad: number;
  /** gRPC statuses at which the next goes out at once (`nonFatalStatusCodes`); others end the call. Default: none. */
  readonly nonFatalStatuses?: ReadonlySet<number> | undefined;
  /** An attempt that takes longer than `perTryTimeoutMs` goes on while another is sent (Envoy `hedge_on_per_try_timeout`). Default false. */
  readonly onPerTryTimeout?: boolean | undefined;
}

export const DEFAULT_HEDGE: HedgeConfig = { maxAttempts: 2, delayMs: undefined, percentile: 0.95, maxExtraLoad: 0.05 };

/** One retry, only when safe: idempotent by method, or the request provably never reached the server (defaults.md). 25 ms to 250 ms. */
export const DEFAULT_RETRY: RetryConfig = {
  on: new Set(['gateway-error', 'reset', 'connect-failure', 'refused-stream', 'unavailable']),
  statusCodes: new Set(),
  maxRetries: 1,
  perTryTimeoutMs: undefined,
  baseMs: 25,
  maxMs: 250,
  regardlessOfMethod: false,
};

export type PathRewrite =
  /** Replaces what the match's prefix covered. */
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'full'; readonly value: string }
  | { readonly kind: 'regex'; readonly regex: SafeRegex; readonly substitution: string };

/** What of a call says where it goes, for ring hash and Maglev (`RouteAction.HashPolicy`, gRFC A42). */
export type HashPolicy = { readonly terminal: boolean } & (
  | {
      readonly kind: 'header';
      readonly name: string;
      readonly rewrite: { readonly regex: SafeRegex; readonly substitution: string } | undefined;
    }
  /** `ttlMs` given: the mesh makes the cookie when the request has none; 0 is a session cookie. */
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      readonly ttlMs: number | undefined;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    }
  /** The caller's address; in a client that is this process itself, so each process keeps to its own endpoint. */
  | { readonly kind: 'source' }
  | { readonly kind: 'query'; readonly name: string }
  /** `io.grpc.channel_id` is one random number per mesh (gRFC A42). */
  | { readonly kind: 'filter_state'; readonly key: string }
);

/** A copy of the request, sent for its own sake; its reply is thrown away (`RequestMirrorPolicy`). */
export interface MirrorPolicy {
  readonly cluster: string;
  /** In [0, 1]. */
  readonly share: number;
  /** Whether `-shadow` is added to the host. Default true, as in Envoy. */
  readonly shadowSuffix: boolean;
  readonly hostRewrite: string | undefined;
  readonly requestHeaders: HeaderMutation | undefined;
}

/** `extensions.filters.http.cors.v3.CorsPolicy`, Gateway API `CORS` (GEP-1767). For servers and the proxy. */
export interface CorsPolicy {
  readonly allowOrigin: readonly StringMatch[];
  readonly allowMethods: string;
  readonly allowHeaders: string;
  readonly exposeHeaders: string;
  /** Seconds, as the header has them; '' to leave it out. */
  readonly maxAge: string;
  readonly allowCredentials: boolean;
  readonly allowPrivateNetwork: boolean;
  /** Preflights of origins that are not allowed are sent on. Default true (Envoy). */
  readonly forwardNotMatchingPreflights: boolean;
  /** Shares of requests for which it is enforced, or only counted; in [0, 1]. */
  readonly enabled: number;
  readonly shadow: number;
}

/** A caller stays with the endpoint that it was sent to first (gRFC A55, Gateway API session persistence, GEP-1619). */
export type SessionPersistence = {
  /** A session whose endpoint is gone fails in place of going to another (Envoy `StatefulSession.strict`). Default false. */
  readonly strict?: boolean | undefined;
} & (
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      /** 0: a session cookie. */
      readonly ttlMs: number;
    }
  | { readonly kind: 'header'; readonly name: string }
);

export interface ForwardAction {
  readonly kind: 'forward';
  readonly clusters: readonly [WeightedCluster, ...WeightedCluster[]];
  readonly totalWeight: number;
  /** The hash of the call chooses the cluster, if it has one, so that the same user meets the same (`use_hash_policy`). */
  readonly weightedByHash?: boolean | undefined;
  /** A header whose single value, a whole number, chooses the cluster in place of chance (`WeightedCluster.header_name`). */
  readonly weightedByHeader?: string | undefined;
  /** Whole call, in milliseconds, 0 is none; undefined: the default (15 s to the head of an HTTP reply; none for gRPC). */
  readonly timeoutMs: number | undefined;
  /** Caps what a gRPC caller's deadline asks for (`max_stream_duration`); 0 or undefined: no cap. */
  readonly maxStreamDurationMs: number | undefined;
  /** Undefined: DEFAULT_RETRY. */
  readonly retry: RetryConfig | undefined;
  /** Absent: no hedging. */
  readonly hedge?: HedgeConfig | undefined;
  /** Which limits the calls count against (Envoy `RouteAction.priority`). Absent: the call's own, else `default`. */
  readonly priority?: 'default' | 'high' | undefined;
  readonly pathRewrite: PathRewrite | undefined;
  readonly hostRewrite:
    | { readonly kind: 'literal'; readonly value: string }
    | { readonly kind: 'endpoint' }
    /** The value of a request header, if it is there. */
    | { readonly kind: 'header'; readonly name: string }
    /** What the path becomes by an expression. */
    | { readonly kind: 'path'; readonly regex: SafeRegex; readonly substitution: string }
    | undefined;
  /** The host before the rewrite goes along in `x-forwarded-host` (`append_x_forwarded_host`). */
  readonly appendForwardedHost?: boolean | undefined;
  /** In order; absent: each call has a random hash. */
  readonly hashPolicies?: readonly HashPolicy[] | undefined;
  readonly mirrors?: readonly MirrorPolicy[] | undefined;
  /** Time without a byte in either direction after which a call is given up, in milliseconds (`idle_timeout`); 0 is none. */
  readonly idleTimeoutMs?: number | undefined;
  /** Endpoints with these labels only (`metadata_match` of `envoy.lb`). */
  readonly subset?: SubsetCriteria | undefined;
}

export interface RedirectAction {
  readonly kind: 'redirect';
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path: PathRewrite | undefined;
  readonly stripQuery: boolean;
}

export interface DirectResponseAction {
  readonly kind: 'direct';
  readonly status: number;
  readonly body: Uint8Array;
}

export type RouteAction =
  | ForwardAction
  | RedirectAction
  | DirectResponseAction
  /** For a server: the request is its own to answer. A client fails with NO_ROUTE (gRFC A36). */
  | { readonly kind: 'non_forwarding' }
  /** Matches, and fails with NO_ROUTE: an action that is not understood. */
  | { readonly kind: 'unservable'; readonly reason: string };

export interface Route {
  /** For logs and metrics; the configured name or `route-<index>`. */
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  /** Already merged: route first, then virtual host, then route configuration (Envoy's order of evaluation). */
  readonly requestHeaders: HeaderMutation | undefined;
  readonly responseHeaders: HeaderMutation | undefined;
  /** The override of the route, else that of its virtual host, else of the filter; absent: none. */
  readonly cors?: CorsPolicy | undefined;
  readonly session?: SessionPersistence | undefined;
  /** Absent: none. */
  readonly limits?: RouteLimits | undefined;
  /** In the order of their filters; each is rolled by itself. Absent: none. */
  readonly faults?: readonly FaultConfig[] | undefined;
  /** On a server: tokens that users bring, filter by filter; each must let a request through. Absent: nobody asks. */
  readonly authentication?: readonly JwtAuthentication[] | undefined;
  /** On a server: services that are asked, filter by filter, whether a request may pass. Absent: none. */
  readonly extAuthz?: readonly ExtAuthz[] | undefined;
  /** On a server: who may do what here. Absent: nobody asks. */
  readonly authorization?: RouteAuthorization | undefined;
  /** On a server: not held to the adaptive concurrency of its filter chain. Absent: it is, where the chain has any. */
  readonly adaptiveConcurrency?: 'off' | undefined;
  /** `x-envoy-attempt-count` on each attempt, and on the reply (`include_*_attempt_count` of the virtual host). */
  readonly attemptCount?: { readonly request: boolean; readonly response: boolean } | undefined;
}

/** `route.v3.RouteConfiguration`: a table of routes by host. */
export interface RouteConfiguration {
  readonly name: string;
  /** The port of the authority does not count for choosing a virtual host. */
  readonly ignorePort: boolean;
  readonly virtualHosts: readonly VirtualHost[];
}

export interface VirtualHost {
  readonly name: string;
  /** In lower case. */
  readonly domains: readonly string[];
  /** Complete: retry policy and header mutations of the outer levels are merged in. */
  readonly routes: readonly Route[];
}
