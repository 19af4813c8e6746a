import type { ConnectionConfig } from '../../../core/model/connection.js';

/** What may be set of HTTP/2 itself; every field has a default that suits a service mesh inside a data centre. */
export interface Http2Settings {
  /**
   * Bytes that a server may send on one stream before we have read them (RFC 9113 section 6.9, SETTINGS_INITIAL_WINDOW_SIZE).
   * 65_535 to 2^31 - 1. Default 1 MiB: the protocol's own 64 KiB caps a stream at 64 KiB per
   * round trip, and even on loopback takes half of the throughput and a third more CPU (460 against 940 MB/s, Node 20).
   */
  readonly streamWindowBytes: number;
  /** The same for a whole connection. Default 1 MiB. */
  readonly connectionWindowBytes: number;
  /** Milliseconds between keepalive PINGs while there are calls; Infinity for none. Default Infinity, as gRPC's (gRFC A8). */
  readonly keepaliveIntervalMs: number;
  /** Milliseconds that a PING may stay without an answer before the connection counts as lost. Default 20_000 (gRFC A8). */
  readonly keepaliveTimeoutMs: number;
  /** Whether PINGs go out on a connection without calls, too. Default false (gRFC A8). */
  readonly keepaliveWithoutCalls: boolean;
}

export const DEFAULT_HTTP2_SETTINGS: Http2Settings = {
  streamWindowBytes: 1_048_576,
  connectionWindowBytes: 1_048_576,
  keepaliveIntervalMs: Number.POSITIVE_INFINITY,
  keepaliveTimeoutMs: 20_000,
  keepaliveWithoutCalls: false,
};

/** No PINGs more often than this, in milliseconds, whatever is configured: the least that gRFC A8 allows a client. */
export const MIN_KEEPALIVE_INTERVAL_MS = 10_000;

/** The settings for connections that are configured so. */
export function http2Settings(connections: ConnectionConfig | undefined): Http2Settings {
  const keepAlive = connections?.keepAlive;
  if (keepAlive === undefined) return DEFAULT_HTTP2_SETTINGS;
  return {
    ...DEFAULT_HTTP2_SETTINGS,
    keepaliveIntervalMs: Math.max(keepAlive.intervalMs, MIN_KEEPALIVE_INTERVAL_MS),
    keepaliveTimeoutMs: keepAlive.timeoutMs,
    keepaliveWithoutCalls: keepAlive.withoutCalls,
  };
}
