import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.js';
import type { Deadlines } from '../../core/deadlines.js';
import type { Logger } from '../../core/log.js';
import type { ChainRoutes } from './chain-routes.js';

/** Takes no more requests on one connection; what `idle` means, see `Acceptor.drain`. */
export type DrainConnection = (idle: 'keep' | 'close') => void;

/** A connection that came in, and the chain that it stays with to its end. */
export interface Connection {
  readonly socket: Socket;
  readonly routes: ChainRoutes;
  /** Proxies that are believed about the client's address. */
  readonly trustedHops: number;
}

/** What serves the connections of one version of the listener. */
export interface Acceptor {
  /** What is spoken on connections, by the names of ALPN. */
  readonly alpn: readonly string[];
  /** Takes over a connection: each of its requests is served as its routes decide. */
  accept(connection: Connection): DrainConnection;
  /**
   * Tells clients to go elsewhere; requests under way finish. `keep` leaves alone an idle connection that cannot be told without losing a
   * request (HTTP/1.1) until its next request; `close` ends it. May be called again with `close`.
   */
  drain(idle: 'keep' | 'close'): void;
}

/** A server of the application's that is handed connections, rather than a port to listen on. */
export interface Face {
  /** Whether a client may shut down its side and still read, as HTTP/1.1 allows. */
  readonly allowHalfOpen: boolean;
  /** The application's own bound; undefined: none. */
  readonly maxConnections: number | undefined;
  open(): Acceptor;
  /** Runs `closed` when the application closes its server by itself; `force`: without waiting for what is under way. */
  onClosed(closed: (force: boolean) => Promise<void>): void;
  /** Gives the server back as it was. */
  close(): void;
}

export interface FaceEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For `max_stream_duration`. */
  readonly deadlines: Deadlines;
}

/** A server that brings its face with it: gRPC's, which must not be loaded by those who do not use it. */
export const FACE: unique symbol = Symbol.for('inmesh.server.face');

export interface HasFace {
  [FACE](env: FaceEnv): Face;
}
