import { connect as connectTcp, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { DuplexOptions } from 'node:stream';
import type { Clock } from '../../../core/clock.js';
import { type Address, addressKey } from '../../../core/model/endpoint.js';
import type { MeshError } from '../../../core/errors.js';
import type { TlsClient } from '../../../core/tls.js';
import { connectError } from '../errors.js';
import { Retirement, waiting } from '../retirement.js';

/** "Connection Attempt Delay ... recommended value: 250 milliseconds" - RFC 8305 section 5. */
const ATTEMPT_DELAY_MS = 250;
/** TCP keep-alive probes start after a minute without traffic, so that a vanished peer is found on idle connections too. */
const TCP_KEEPALIVE_MS = 60_000;
const READ_BUFFER_BYTES = 65_536;

export interface ConnectOptions {
  /** What errors call the endpoint. */
  readonly endpoint: string;
  /** Tried in this order; the first to answer wins. */
  readonly addresses: readonly [Address, ...Address[]];
  readonly tls: TlsClient | undefined;
  /** Milliseconds for TCP over all addresses and TLS together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** A connection that was made. */
export interface Opened {
  readonly socket: Socket;
  readonly retirement: Retirement;
}

export type Connected = (error: MeshError | undefined, opened: Opened | undefined) => void;

/**
 * Makes one connection. An address that does not answer within 250 ms gets company by the next one, and one that fails is followed
 * at once (happy eyeballs, RFC 8305). `done` runs once, unless the result was called before: that abandons the attempt.
 */
export function openConnection(options: ConnectOptions, done: Connected): () => void {
  const attempt = new ConnectionAttempt(options, done);
  attempt.start();
  return () => attempt.abandon();
}

class ConnectionAttempt {
  readonly #sockets = new Set<Socket>();
  readonly #failures: string[] = [];
  #next = 0;
  #over = false;
  #cancelTimeout: (() => void) | undefined;
  #cancelDelay: (() => void) | undefined;
  /** Gives up the handshake of TLS. */
  #securing: (() => void) | undefined;

  constructor(
    private readonly options: ConnectOptions,
    private readonly done: Connected,
  ) {}

  start(): void {
    const { clock, timeoutMs } = this.options;
    this.#cancelTimeout = clock.after(timeoutMs, () => {
      const failures = this.#failures.length > 0 ? ` (${this.#failures.join('; ')})` : '';
      this.#fail(`no connection within ${timeoutMs} ms${failures}${waiting(this.options.tls)}`);
    });
    this.#tryNext();
  }

  abandon(): void {
    if (this.#over) return;
    this.#finish();
  }

  #tryNext(): void {
    this.#cancelDelay?.();
    const address = this.options.addresses[this.#next];
    if (address === undefined) return;
    this.#next++;
    const target: TcpNetConnectOpts & DuplexOptions = {
      host: address.host,
      port: address.port,
      noDelay: true,
      highWaterMark: READ_BUFFER_BYTES,
    };
    const socket = connectTcp(target);
    this.#sockets.add(socket);
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    socket.once('connect', () => this.#reached(socket));
    socket.on('error', (error) => this.#lost(socket, `${addressKey(address)}: ${reason(error)}`, error));
    if (this.#next < this.options.addresses.length) {
      this.#cancelDelay = this.options.clock.after(ATTEMPT_DELAY_MS, () => this.#tryNext());
    }
  }

  #reached(socket: Socket): void {
    if (this.#over) return;
    for (const other of this.#sockets) if (other !== socket) other.destroy();
    this.#sockets.clear();
    this.#cancelDelay?.();
    if (this.options.tls === undefined) this.#succeed(socket, new Retirement());
    else this.#secure(socket, this.options.tls);
  }

  #secure(tcp: Socket, tls: TlsClient): void {
    const retirement = new Retirement();
    this.#securing = tls.secure(tcp, ['http/1.1'], {
      secured: (socket) => this.#succeed(socket, retirement),
      failed: (error) => {
        this.#securing = undefined;
        this.#fail(`TLS with "${tls.name}": ${error.message}`, error);
      },
      drain: () => retirement.now(),
    });
  }

  #lost(socket: Socket, failure: string, error: Error): void {
    if (!this.#sockets.delete(socket) || this.#over) return;
    this.#failures.push(failure);
    if (this.#next < this.options.addresses.length) this.#tryNext();
    else if (this.#sockets.size === 0) this.#fail(this.#failures.join('; '), error);
  }

  #fail(detail: string, cause?: unknown): void {
    if (this.#over) return;
    const error = connectError(this.options.endpoint, detail, cause);
    this.#finish();
    this.done(error, undefined);
  }

  #succeed(socket: Socket, retirement: Retirement): void {
    this.#securing = undefined;
    this.#finish();
    this.done(undefined, { socket, retirement });
  }

  #finish(): void {
    this.#over = true;
    this.#cancelTimeout?.();
    this.#cancelDelay?.();
    this.#securing?.();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
