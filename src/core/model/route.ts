import type { RouteMatch, SafeRegex } from './match.js';

/** Changes to headers, in Envoy's order: remove, then each of `set` by its action. */
export interface HeaderMutation {
  readonly remove: readonly string[];
  readonly set: readonly {
    readonly name: string;
    readonly value: string;
    /** Envoy `HeaderAppendAction`. */
    readonly action: 'append' | 'addIfAbsent' | 'overwrite' | 'overwriteIfExists';
  }[];
}

export interface WeightedCluster {
  readonly name: string;
  readonly weight: number;
  readonly requestHeaders: HeaderMutation | undefined;
  readonly responseHeaders: HeaderMutation | undefined;
}

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
  /** True: configured by name, so a non-idempotent method is retried too (Envoy). False: only when it is safe. */
  readonly regardlessOfMethod: boolean;
}

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

export interface ForwardAction {
  readonly kind: 'forward';
  readonly clusters: readonly [WeightedCluster, ...WeightedCluster[]];
  readonly totalWeight: number;
  /** Whole call, in milliseconds, 0 is none; undefined: the default (15 s to the head of an HTTP reply; none for gRPC). */
  readonly timeoutMs: number | undefined;
  /** Caps what a gRPC caller's deadline asks for (`max_stream_duration`); 0 or undefined: no cap. */
  readonly maxStreamDurationMs: number | undefined;
  /** Undefined: DEFAULT_RETRY. */
  readonly retry: RetryConfig | undefined;
  readonly pathRewrite: PathRewrite | undefined;
  readonly hostRewrite:
    | { readonly kind: 'literal'; readonly value: string }
    | { readonly kind: 'endpoint' }
    | undefined;
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
