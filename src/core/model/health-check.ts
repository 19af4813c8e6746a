import type { HeaderMutation } from './route.js';

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
