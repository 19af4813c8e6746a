import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { DuplexOptions } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Clock } from '../../../core/clock.js';
import type { TlsOrigination } from '../../../core/model/cluster.js';
import { type Address, addressKey } from '../../../core/model/endpoint.js';
import { ConnectError } from '../errors.js';

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
  readonly tls: TlsOrigination | undefined;
  /** Milliseconds for TCP over all addresses and TLS together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** TLS session of an earlier connection, for a shorter handshake; written here whenever the server gives a new one. */
  readonly resumption: { session: Buffer | undefined };
}

export type Connected = (error: ConnectError | undefined, socket: Socket | undefined) => void;

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

  constructor(
    private readonly options: ConnectOptions,
    private readonly done: Connected,
  ) {}

  start(): void {
    const { clock, timeoutMs } = this.options;
    this.#cancelTimeout = clock.after(timeoutMs, () => {
      this.#fail(
        `no connection within ${timeoutMs} ms${this.#failures.length > 0 ? ` (${this.#failures.join('; ')})` : ''}`,
      );
    });
    this.#tryNext();
  }

  abandon(): void {
    if (this.#over) return;
    this.#finish(undefined);
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
    if (this.options.tls === undefined) this.#succeed(socket);
    else this.#secure(socket, this.options.tls.sni);
  }

  #secure(tcp: Socket, sni: string): void {
    const { resumption } = this.options;
    let socket: TLSSocket;
    try {
      socket = connectTls({
        socket: tcp,
        // An IP address is verified as a name, but is never sent as one (RFC 6066 section 3).
        host: sni,
        servername: isIP(sni) === 0 ? sni : '',
        ALPNProtocols: ['http/1.1'],
        ...(resumption.session === undefined ? undefined : { session: resumption.session }),
      });
    } catch (error) {
      this.#fail(`TLS with "${sni}": ${reason(error)}`, error);
      tcp.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on('session', (session: Buffer) => {
      resumption.session = session;
    });
    const closed = (): void => this.#fail(`TLS with "${sni}": the connection was closed during the handshake`);
    socket.once('close', closed);
    socket.on('error', (error) => this.#fail(`TLS with "${sni}": ${reason(error)}`, error));
    socket.once('secureConnect', () => {
      socket.removeListener('close', closed);
      if (!this.#over) this.#succeed(socket);
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
    const error = new ConnectError(this.options.endpoint, detail, cause === undefined ? undefined : { cause });
    this.#finish(undefined);
    this.done(error, undefined);
  }

  #succeed(socket: Socket): void {
    this.#finish(socket);
    this.done(undefined, socket);
  }

  #finish(keep: Socket | undefined): void {
    this.#over = true;
    this.#cancelTimeout?.();
    this.#cancelDelay?.();
    for (const socket of this.#sockets) if (socket !== keep) socket.destroy();
    this.#sockets.clear();
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
