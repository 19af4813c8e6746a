import type { AsyncResource } from 'node:async_hooks';
import type { Call } from '../../../core/call.js';
import { callersContext, outsideOfCalls } from '../../../core/context.js';
import { asMeshError, type MeshError } from '../../../core/errors.js';
import type { Reply } from '../../../core/reply.js';
import type { Transport, TransportOptions } from '../../../core/transport.js';
import { setOff } from '../../endpoints/carry.js';
import { ConnectError, ConnectionLostError, ProtocolError } from '../errors.js';
import { callsPerConnection } from '../lifetime.js';
import { Arrival, noneLeft } from '../arrival.js';
import { type WarmConnections, type WarmOwner, warmConnections } from '../warm.js';
import { Connection } from './connection.js';
import type { ConnectionOwner } from './connection-owner.js';
import { Exchange } from './exchange.js';
import { type Http2Settings, http2Settings } from './settings.js';

/** HTTP/2 to one endpoint, for plain calls and for gRPC. */
export const http2Transport = (
  options: TransportOptions,
  settings: Http2Settings = http2Settings(options.connections),
): Transport => new Http2Transport(options, settings);

/** A call in line for a stream. */
interface Waiting {
  readonly call: Call;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  readonly onCancel: (reason: MeshError) => void;
  /** The caller's async context: the stream is opened from another call's event, and must not take over that one's trace. */
  readonly context: AsyncResource;
  /** Holds a place in the cluster's line. The call for which a connection is opened needs none. */
  readonly counted: boolean;
}

/** "at least 100 streams": what a server may be expected to allow - RFC 9113 section 6.5.2. */
const EXPECTED_STREAMS = 100;

/**
 * Calls share a connection as far as the server's MAX_CONCURRENT_STREAMS goes; then another is opened if the cluster's limits grant
 * it, else calls stand in line, first come, first served.
 */
class Http2Transport implements Transport, ConnectionOwner, WarmOwner {
  #settings: Http2Settings;
  /** Those that take calls, or soon will. */
  readonly #usable: Connection[] = [];
  /** All that hold a permit of `limits`. */
  readonly #all = new Set<Connection>();
  readonly #line: Waiting[] = [];
  /** What a connection that is still being made is expected to carry. */
  readonly #expectedCalls: number;
  readonly #warm: WarmConnections | undefined;
  readonly #arrival = new Arrival();
  #closed = false;
  #whenClosed: (() => void)[] = [];

  constructor(
    private readonly options: TransportOptions,
    settings: Http2Settings,
  ) {
    this.#settings = settings;
    this.#expectedCalls = Math.min(EXPECTED_STREAMS, callsPerConnection(options));
    this.#warm = warmConnections(options, this);
    this.#warm?.fill();
  }

  get held(): number {
    return this.#usable.length;
  }

  get connections(): number {
    let open = 0;
    for (const { state } of this.#all) if (state === 'open' || state === 'draining') open++;
    return open;
  }

  readonly call = (call: Call): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const cancelled = call.cancellation.reason;
      if (cancelled !== undefined) return reject(cancelled);
      if (this.#closed) return reject(this.#refusal());
      const connection = this.#line.length === 0 ? this.#free() : undefined;
      if (connection !== undefined) this.#start(connection, call, resolve, reject);
      else this.#wait(call, resolve, reject);
    });

  connect(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#refusal());
    if (this.#usable.some(({ state }) => state === 'open')) return Promise.resolve();
    const arrived = this.#arrival.wait();
    if (this.#usable.length === 0 && !this.#open(true)) this.#arrival.failed(noneLeft(this.options.endpoint.key));
    return arrived;
  }

  warmed(): Promise<void> {
    return this.#warm?.filled() ?? Promise.resolve();
  }

  close(force = false): Promise<void> {
    this.#closed = true;
    this.#warm?.close();
    if (force) {
      for (const waiting of this.#line.splice(0)) {
        this.#leaveLine(waiting);
        waiting.reject(new ConnectionLostError(this.options.endpoint.key, 'the transport was closed', 'no'));
      }
      for (const connection of [...this.#all]) connection.destroy('the transport was closed');
    } else this.#drainWhenDone();
    if (this.#all.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenClosed.push(resolve));
  }

  // What connections report.

  available(connection: Connection): void {
    this.#arrival.made();
    this.#warm?.opened();
    while (this.#line.length > 0 && connection.free) {
      const waiting = this.#line.shift() as Waiting;
      this.#leaveLine(waiting);
      const { context, call, resolve, reject } = waiting;
      const late = setOff(call, this.options.clock);
      if (late !== undefined) {
        reject(late);
        continue;
      }
      context.runInAsyncScope(this.#start, this, connection, call, resolve, reject);
    }
    if (this.#line.length > 0) this.#openForLine();
    else if (this.#closed) this.#drainWhenDone();
  }

  draining(connection: Connection): void {
    this.#remove(connection);
    // It was usable, or it could not drain. (`available` is told more often than once, and in every call.)
    this.#warm?.made();
    this.#warm?.fill();
    if (this.#line.length === 0) return;
    if (connection.used) this.#openForLine();
    // One that came and went without taking a call is as good as none: trying at once again would only go round in circles.
    else
      this.#connectFailed(
        new ConnectError(connection.endpoint, 'the server ended the connection before it took a call'),
        connection.ahead,
      );
  }

  gone(connection: Connection, error: MeshError | undefined): void {
    this.#remove(connection);
    this.#all.delete(connection);
    this.options.limits.closed();
    if (error !== undefined) this.#connectFailed(error, connection.ahead);
    else if (this.#line.length > 0) this.#openForLine();
    if (error !== undefined) this.#warm?.failed();
    this.#warm?.fill();
    if (this.#all.size === 0) for (const done of this.#whenClosed.splice(0)) done();
  }

  // What keeps connections warm asks for.

  openAhead(): boolean {
    return this.#open(true);
  }

  tooManyPings(): void {
    const keepaliveIntervalMs = this.#settings.keepaliveIntervalMs * 2;
    this.#settings = { ...this.#settings, keepaliveIntervalMs };
    this.options.logger.warn('the server asks for fewer keepalive PINGs', {
      endpoint: this.options.endpoint.key,
      keepaliveIntervalMs,
    });
  }

  #remove(connection: Connection): void {
    const at = this.#usable.indexOf(connection);
    if (at >= 0) this.#usable.splice(at, 1);
  }

  #free(): Connection | undefined {
    for (const connection of this.#usable) if (connection.free) return connection;
    return undefined;
  }

  #start(connection: Connection, call: Call, resolve: (reply: Reply) => void, reject: (error: Error) => void): void {
    try {
      new Exchange(connection, call, resolve, reject).start();
    } catch (error) {
      // Nothing was sent: headers that no stream can carry, or a session that refuses to open one.
      reject(asMeshError(error, (cause) => new ProtocolError(connection.endpoint, String(cause), 'no', { cause })));
    }
  }

  #wait(call: Call, resolve: (reply: Reply) => void, reject: (error: Error) => void): void {
    const counted = !this.#openMore();
    const { limits } = this.options;
    if (counted && !limits.tryWait(call.priority)) return reject(limits.overflow(call.priority));
    const waiting: Waiting = {
      call,
      resolve,
      reject,
      counted,
      context: callersContext(),
      onCancel: (reason) => {
        const at = this.#line.indexOf(waiting);
        if (at < 0) return;
        this.#line.splice(at, 1);
        this.#leaveLine(waiting);
        reject(reason);
      },
    };
    this.#line.push(waiting);
    call.cancellation.add(waiting.onCancel);
  }

  #leaveLine(waiting: Waiting): void {
    waiting.call.cancellation.remove(waiting.onCancel);
    if (waiting.counted) this.options.limits.waited(waiting.call.priority);
  }

  #openForLine(): void {
    if (this.#free() === undefined) this.#openMore();
  }

  /** Opens a connection if those there are, or are coming, will not do and the limits allow one. */
  #openMore(): boolean {
    let coming = 0;
    for (const connection of this.#usable) {
      if (connection.state === 'connecting') coming += this.#expectedCalls;
      // A server that allows no streams at all would allow none on a second connection either.
      else if (connection.streamLimit === 0) return false;
    }
    return this.#line.length >= coming && this.#open(false);
  }

  #open(ahead: boolean): boolean {
    // One that drains may do so for as long as a stream lasts: an endpoint may have one in its place in a full cluster, too, but no more.
    if (!this.options.limits.tryOpen(this.#usable.length === 0 && this.#all.size <= 1)) return false;
    const connection = outsideOfCalls(() => new Connection(this.options, this.#settings, this, ahead));
    this.#all.add(connection);
    this.#usable.push(connection);
    return true;
  }

  /** Without any other connection all in line fail; else the one that this was opened for does, and the rest wait for the others. */
  #connectFailed(error: MeshError, ahead: boolean): void {
    let failed: Waiting[] = [];
    if (this.#usable.length === 0) {
      failed = this.#line.splice(0);
      this.#arrival.failed(error);
    } else if (!ahead) {
      const at = this.#line.findIndex((waiting) => !waiting.counted);
      if (at >= 0) failed = this.#line.splice(at, 1);
    }
    for (const waiting of failed) {
      this.#leaveLine(waiting);
      waiting.reject(error);
    }
  }

  #drainWhenDone(): void {
    if (this.#line.length === 0)
      for (const connection of [...this.#usable]) connection.drain('the transport was closed');
  }

  #refusal(): ConnectError {
    return new ConnectError(this.options.endpoint.key, 'the connections to it were closed for good');
  }
}
