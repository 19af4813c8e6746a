import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import { TlsPeerError, type TlsRefused, type TlsServer } from '../../core/tls.js';
import { firstByte, type TransportProtocol } from './first-byte.js';

/** How long a client may take, from its connection to the end of its handshake, in milliseconds: Envoy's `listener_filters_timeout`. */
export const ACCEPT_TIMEOUT_MS = 15_000;
/** Connections of one server that have not said what they are yet, or are in their handshake. One more, and the oldest of them goes. */
export const MAX_PENDING_HANDSHAKES = 1_024;

export interface HandshakesEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** What becomes of a connection under TLS. */
export interface Accepted {
  /** The handshake is done, and its client is who it may be. */
  secured(socket: TLSSocket): void;
  /** No more requests are to be taken on it: the certificates that it was made with have been replaced. At most once, after `secured`. */
  drain(): void;
}

/**
 * Connections of one server from when they come in until they are ready for requests. Clients that are slow, or say nothing at all, are cut off, and there is a bound
 * to how many may be at it at once. Who is refused learns nothing; the reason is logged and counted here.
 */
export class Handshakes {
  /** In the order in which they came. */
  readonly #pending = new Map<Socket, Pending>();

  constructor(
    private readonly env: HandshakesEnv,
    private readonly maxPending = MAX_PENDING_HANDSHAKES,
  ) {}

  get pending(): number {
    return this.#pending.size;
  }

  /** Finds out what a connection speaks. */
  look(socket: Socket, decided: (transport: TransportProtocol) => void): void {
    this.#begin(socket);
    const stop = firstByte(socket, decided);
    socket.once('close', stop);
  }

  /** Makes TLS of a connection. `alpn`: what is spoken on it then, in order of preference. From then on nobody but TLS may touch the connection itself: see `cut`. */
  secure(socket: Socket, server: TlsServer, alpn: readonly string[], accepted: Accepted): void {
    const pending = this.#begin(socket);
    const giveUp = server.secure(socket, alpn, {
      secured: (tls) => {
        this.ready(socket);
        socket.off('close', giveUp);
        // Nobody else may be listening yet, and an error that nobody listens for ends the process.
        tls.on('error', () => {});
        accepted.secured(tls);
      },
      failed: (error) => {
        if (!this.#pending.has(socket)) return;
        this.ready(socket);
        this.#tell(socket, error instanceof TlsPeerError ? error.reason : 'handshake', error);
      },
      drain: () => accepted.drain(),
    });
    pending.cut = giveUp;
    socket.once('close', giveUp);
  }

  /** The connection waits for nothing any more. */
  ready(socket: Socket): void {
    this.#pending.get(socket)?.forget();
  }

  /** Closes a connection without a word. */
  refuse(socket: Socket, reason: TlsRefused): void {
    this.#tell(socket, reason);
    this.cut(socket);
  }

  /** Ends a connection that is not ready yet: Node does not survive it when the socket below goes before the TLS on it does. */
  cut(socket: Socket): void {
    const cut = this.#pending.get(socket)?.cut;
    this.ready(socket);
    if (cut === undefined) socket.destroy();
    else cut();
  }

  #tell(socket: Socket, reason: TlsRefused, error?: Error): void {
    const { logger, meter } = this.env;
    meter.event({ kind: 'tls:refused', reason });
    const { remoteAddress: from } = socket;
    logger.info('a connection was refused', { reason, from, ...(error !== undefined && { message: error.message }) });
  }

  #begin(socket: Socket): Pending {
    const known = this.#pending.get(socket);
    if (known !== undefined) return known;
    if (this.#pending.size >= this.maxPending) {
      const [oldest] = this.#pending.keys();
      if (oldest !== undefined) this.refuse(oldest, 'overflow');
    }
    const late = (): void => this.refuse(socket, 'timeout');
    const cancel = this.env.clock.after(ACCEPT_TIMEOUT_MS, late, { background: true });
    const forget = (): void => {
      cancel();
      socket.off('close', forget);
      this.#pending.delete(socket);
    };
    const pending: Pending = { forget, cut: undefined };
    this.#pending.set(socket, pending);
    socket.once('close', forget);
    return pending;
  }
}

/** A connection that is not ready yet. */
interface Pending {
  forget(): void;
  /** Ends it, once there is TLS on it. */
  cut: (() => void) | undefined;
}
