import type { JwtAuthentication } from './authentication.js';
import type { RouteAuthorization } from './authorization.js';
import type { Address } from './endpoint.js';
import type { ExtAuthz } from './ext-authz.js';
import type { RouteConfiguration } from './route.js';
import type { DownstreamTls } from './tls.js';

/** A server's listener (gRFC A36): what to do with connections that come in at one address. */
export interface ServerListener {
  readonly name: string;
  /** Must be what the server listens on: "host:port" as asked for. */
  readonly address: Address;
  /** Those that can match; a chain with criteria that are never met here is left out (gRFC A36). */
  readonly filterChains: readonly FilterChain[];
  /** For connections that no other chain matches. */
  readonly defaultFilterChain: FilterChain | undefined;
}

export interface FilterChain {
  /** The configured name, or `filter_chains[<index>]`. */
  readonly name: string;
  readonly match: FilterChainMatch;
  readonly routes: RouteSource;
  /** `common_http_protocol_options.max_stream_duration`, in milliseconds; for routes that have none (gRFC A31). */
  readonly maxStreamDurationMs: number | undefined;
  /** Whether the routes' CORS policies count: there is a filter for them. Absent: they do not. */
  readonly cors?: boolean | undefined;
  /** Envoy's `adaptive_concurrency` filter. Absent: requests are not shed by configuration. */
  readonly adaptiveConcurrency?: AdaptiveConcurrency | undefined;
  /** What the RBAC filters ask of requests that no route takes. Absent: there are none. */
  readonly authorization?: RouteAuthorization | undefined;
  /** What the filters jwt_authn and ext_authz ask of those. Absent: there are none that are on. */
  readonly authentication?: readonly JwtAuthentication[] | undefined;
  readonly extAuthz?: readonly ExtAuthz[] | undefined;
  /** `transport_socket`. Absent: plain text. */
  readonly tls?: DownstreamTls | undefined;
}

/** `extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency`; its only controller is the gradient controller. */
export interface AdaptiveConcurrency {
  /** `sample_aggregate_percentile`, as a share. Default 0.5. */
  readonly percentile: number;
  /** Default 1_000. */
  readonly maxLimit: number;
  readonly updateIntervalMs: number;
  readonly minRttIntervalMs: number;
  /** A time without load that is not measured (`fixed_value`), in milliseconds; undefined: it is measured every `minRttIntervalMs`. */
  readonly fixedMinRttMs: number | undefined;
  /** Default 50. */
  readonly minRttRequests: number;
  /** Default 3. */
  readonly minConcurrency: number;
  /** Shares. Defaults 0.15 and 0.25. */
  readonly jitter: number;
  readonly buffer: number;
  /** `concurrency_limit_exceeded_status`. Default 503; below 400 it is 503 (Envoy). */
  readonly status: number;
}

/** Where a listener's routes come from: by name over RDS, or with the listener. */
export type RouteSource =
  /** `key`: what `ServerConfig.routes` has it under, as the filters of a chain may change it. Absent: its name. */
  | { readonly kind: 'rds'; readonly name: string; readonly key?: string | undefined }
  | { readonly kind: 'inline'; readonly config: RouteConfiguration };

/** Envoy `FilterChainMatch`, the criteria of gRFC A36. An empty list means any. */
export interface FilterChainMatch {
  readonly destination: readonly CidrRange[];
  readonly sourceType: 'any' | 'same_ip_or_loopback' | 'external';
  readonly source: readonly CidrRange[];
  readonly sourcePorts: readonly number[];
  /** True for `transport_protocol: raw_buffer`, which is preferred to one that does not say (Envoy's order of criteria). */
  readonly rawBuffer: boolean;
  /** True for `transport_protocol: tls`: connections that begin with a TLS ClientHello (Envoy's TLS inspector). Absent: no. Permissive servers have one chain of each kind. */
  readonly tls?: boolean | undefined;
}

export interface CidrRange {
  /** IPv4 or IPv6, with the bits beyond the prefix cleared, in canonical text. */
  readonly address: string;
  readonly prefixLength: number;
}
