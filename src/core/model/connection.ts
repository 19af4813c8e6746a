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

export const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;

export const DEFAULT_IDLE_TIMEOUT_MS = 300_000;
