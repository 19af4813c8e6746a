import type { Priority } from './call.js';
import type { Clock } from './clock.js';
import type { Logger } from './log.js';
import type { ConnectionConfig } from './model/connection.js';
import type { EndpointConfig } from './model/endpoint.js';
import type { Random } from './random.js';
import type { Service } from './service.js';
import type { TlsClient } from './tls.js';

/**
 * A cluster's shared allowance of connections and of calls that wait for one (Envoy `max_connections`, `max_pending_requests`).
 * Exact: counted when granted, in the same turn.
 */
export interface ConnectionLimits {
  /**
   * A permit to open a connection, or no. An endpoint with none open yet always gets one (`first`), as Envoy does, so that a full
   * cluster cannot starve an endpoint.
   */
  tryOpen(first: boolean): boolean;
  /** Gives the permit back: the connection is closed or was never made. */
  closed(): void;
  /** A place in the line for a connection, or no: then the call fails at once with CIRCUIT_OPEN. */
  tryWait(priority?: Priority): boolean;
  /** Leaves the line, whether served or not. */
  waited(priority?: Priority): void;
  /** The error for a call that got no place in the line. */
  overflow(priority?: Priority): Error;
}

export interface TransportOptions {
  readonly endpoint: EndpointConfig;
  /** Undefined: plain text. */
  readonly tls: TlsClient | undefined;
  /** Milliseconds for TCP and TLS together; then CONNECT_FAILED. */
  readonly connectTimeoutMs: number;
  /** A connection without a request is closed after this many milliseconds. */
  readonly idleTimeoutMs: number;
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Limits and care of connections. Absent: those of `DEFAULT_CONNECTIONS`. */
  readonly connections?: ConnectionConfig | undefined;
  /** Spreads lifetimes and back-offs. Default the process's own. */
  readonly random?: Random | undefined;
}

/**
 * The connections to one endpoint. `call` sends one attempt and resolves with the reply's head; it obeys `call.cancellation`
 * (reset the stream, close the HTTP/1.1 connection, reject with the reason, or fail the body when the head is out), and
 * rejects only with a MeshError whose `reached` is the truth. It knows no deadline, no retry, no balancing.
 */
export interface Transport {
  readonly call: Service;
  /**
   * Makes sure that there is a connection, and sends nothing: resolves when one is there, rejects with CONNECT_FAILED when none can be had within the
   * connect timeout. One attempt at a time: who comes while it is under way waits for the same.
   */
  connect(): Promise<void>;
  /**
   * Resolves when the connections that are wanted ahead of calls (`ConnectionConfig.warm`) are open, or could not be opened: they are tried again in time,
   * but nobody need wait for that. Absent: there are none such.
   */
  warmed?(): Promise<void>;
  /** Connections open now. */
  readonly connections: number;
  /** No new calls; resolves when those under way have ended. `force` cuts them. Idempotent. */
  close(force?: boolean): Promise<void>;
}

export type TransportFactory = (options: TransportOptions) => Transport;
