import type { Call } from '../../../core/call.js';
import { callersContext, outsideOfCalls } from '../../../core/context.js';
import { asMeshError, type MeshError } from '../../../core/errors.js';
import type { Reply } from '../../../core/reply.js';
import type { Transport, TransportOptions } from '../../../core/transport.js';
import { setOff } from '../../endpoints/carry.js';
import { addressOrder } from '../address-order.js';
import { Arrival, noneLeft } from '../arrival.js';
import { ConnectionLostError } from '../errors.js';
import { type WarmConnections, type WarmOwner, warmConnections } from '../warm.js';
import { openConnection, type Opened } from './connect.js';
import { Connection, type ConnectionOwner } from './connection.js';
import { Exchange, type ExchangeOwner } from './exchange.js';
import { cannotSend } from './failure.js';
import { Reserve } from './reserve.js';

/** The HTTP/1.1 connections to one endpoint, on undici. */
export const http1Transport = (options: TransportOptions): Transport => new Http1Transport(options);

/** A connection being made, and the call that asked for it. */
interface Opening {
  readonly opener: Exchange | undefined;
  abandon(): void;
}

/**
 * A call takes an idle connection, the one used last first, so that spare ones can time out; or one in reserve; or opens one; or waits in line.
 * The line is served in order by whichever connection is free first, so a call may be served before the connection that it opened is
 * there.
 */
class Http1Transport implements Transport, ConnectionOwner, ExchangeOwner, WarmOwner {
  readonly endpoint: string;
  readonly #open = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #opening = new Set<Opening>();
  readonly #line = new Set<Exchange>();
  readonly #reserve: Reserve;
  readonly #warm: WarmConnections | undefined;
  readonly #arrival = new Arrival();
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  constructor(private readonly options: TransportOptions) {
    this.endpoint = options.endpoint.key;
    this.#reserve = new Reserve(options, () => this.#permitBack());
    this.#warm = warmConnections(options, this);
    this.#warm?.fill();
  }

  get connections(): number {
    return this.#open.size + this.#reserve.size;
  }

  get held(): number {
    return this.#open.size + this.#opening.size + this.#reserve.size;
  }

  readonly call = (call: Call): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const { reason } = call.cancellation;
      if (reason !== undefined) reject(reason);
      else if (this.#closing !== undefined) reject(this.#refusal());
      else this.#admit(new Exchange(call, this, resolve, reject));
    });

  connect(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(this.#refusal());
    if (this.connections > 0) return Promise.resolve();
    const arrived = this.#arrival.wait();
    if (this.#opening.size === 0 && !this.openAhead()) this.#arrival.failed(noneLeft(this.endpoint));
    return arrived;
  }

  warmed(): Promise<void> {
    return this.#warm?.filled() ?? Promise.resolve();
  }

  close(force = false): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#closed = resolve;
    });
    this.#warm?.close();
    this.#reserve.close();
    for (const connection of [...this.#idle]) connection.close();
    if (force) {
      const error = new ConnectionLostError(this.endpoint, 'the mesh closed it', 'maybe');
      for (const exchange of [...this.#line]) this.#drop(exchange, this.#refusal());
      for (const connection of [...this.#open]) connection.close(error);
    }
    if (this.#line.size === 0) this.#abandonOpening();
    this.#settleClose();
    return this.#closing;
  }

  // What connections tell.

  idle(connection: Connection): void {
    const next = this.#next();
    if (next !== undefined) this.#serve(connection, next);
    else if (this.#closing !== undefined) connection.close();
    else this.#idle.push(connection);
  }

  expired(connection: Connection): void {
    const at = this.#idle.indexOf(connection);
    if (at === -1) return;
    this.#idle.splice(at, 1);
    connection.close();
  }

  lost(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#permitBack();
  }

  // What keeps connections warm asks for.

  openAhead(): boolean {
    if (!this.options.limits.tryOpen(this.held === 0)) return false;
    this.#connect(undefined);
    return true;
  }

  // What exchanges tell.

  leave(exchange: Exchange): void {
    this.#unline(exchange);
    if (this.#closing !== undefined && this.#line.size === 0) this.#abandonOpening();
    this.#settleClose();
  }

  again(exchange: Exchange): void {
    this.#admit(exchange);
  }

  afresh(exchange: Exchange, error: MeshError): void {
    // Others that lie idle may have been closed as well.
    if (this.#closing === undefined) this.#connectFor(exchange);
    else exchange.fail(error);
  }

  #admit(exchange: Exchange): void {
    const connection = this.#idle.pop();
    if (connection !== undefined) {
      connection.send(exchange);
      return;
    }
    const reserved = this.#reserve.take();
    if (reserved !== undefined) this.#use(reserved.opened, exchange, this.options.clock.now() - reserved.since);
    else this.#connectFor(exchange);
  }

  #connectFor(exchange: Exchange): void {
    const { limits } = this.options;
    exchange.context ??= callersContext();
    if (limits.tryOpen(this.held === 0)) {
      this.#line.add(exchange);
      this.#connect(exchange);
    } else if (limits.tryWait(exchange.call.priority)) {
      exchange.inLine = true;
      this.#line.add(exchange);
    } else {
      exchange.fail(asMeshError(limits.overflow(exchange.call.priority), (cause) => this.#refusal(cause)));
    }
  }

  #connect(opener: Exchange | undefined): void {
    const { endpoint, tls, connectTimeoutMs, clock } = this.options;
    const abandon = outsideOfCalls(() =>
      openConnection(
        {
          endpoint: endpoint.key,
          addresses: addressOrder(endpoint.addresses),
          tls,
          timeoutMs: connectTimeoutMs,
          clock,
        },
        (error, opened) => {
          this.#opening.delete(opening);
          if (opened === undefined) this.#unreachable(opener, error as MeshError);
          else this.#opened(opened);
        },
      ),
    );
    const opening: Opening = { opener, abandon };
    this.#opening.add(opening);
  }

  #opened(opened: Opened): void {
    this.#warm?.made();
    const next = this.#next();
    if (next !== undefined) this.#use(opened, next, 0);
    // It was opened ahead of calls, or its call has been served by another one: it is kept if it is wanted, else the others are enough.
    else if (this.#warm?.wants === true || this.#arrival.awaited) this.#reserve.put(opened);
    else {
      opened.socket.destroy();
      this.options.limits.closed();
      this.#settleClose();
    }
    this.#arrival.made();
    this.#warm?.opened();
  }

  #use(opened: Opened, exchange: Exchange, ageMs: number): void {
    let connection: Connection;
    try {
      connection = new Connection(this.options, opened, this, ageMs);
    } catch (error) {
      // It is the socket's event: what is thrown here would end the process.
      opened.socket.destroy();
      exchange.fail(cannotSend(this.endpoint, error));
      this.#permitBack();
      return;
    }
    this.#open.add(connection);
    this.#serve(connection, exchange);
  }

  /** What has waited is sent in its own async context, where instrumentation of undici looks for whose it is; events of a connection are nobody's. */
  #serve(connection: Connection, exchange: Exchange): void {
    const { context } = exchange;
    if (context === undefined) connection.send(exchange);
    else context.runInAsyncScope(connection.send, connection, exchange);
  }

  #unreachable(opener: Exchange | undefined, error: MeshError): void {
    this.options.limits.closed();
    this.options.logger.debug('connection failed', { endpoint: this.endpoint, error: error.message });
    if (opener !== undefined && this.#line.has(opener)) this.#drop(opener, error);
    // Nothing left that could serve the rest of the line: better they try another endpoint now than each in its turn.
    if (this.#open.size + this.#opening.size === 0) {
      for (const exchange of [...this.#line]) this.#drop(exchange, error);
      this.#arrival.failed(error);
    }
    this.#warm?.failed();
    this.#warm?.fill();
    this.#settleClose();
  }

  /** A connection has ended. */
  #permitBack(): void {
    this.options.limits.closed();
    this.#replenish();
    this.#warm?.fill();
    this.#settleClose();
  }

  /** A connection was lost while calls wait: opens another for them when the cluster allows. */
  #replenish(): void {
    if (this.#line.size <= this.#opening.size) return;
    if (this.options.limits.tryOpen(this.#open.size + this.#opening.size === 0)) this.#connect(undefined);
  }

  #next(): Exchange | undefined {
    for (const exchange of this.#line) {
      this.#unline(exchange);
      const late = setOff(exchange.call, this.options.clock);
      if (late === undefined) return exchange;
      exchange.fail(late);
    }
    return undefined;
  }

  #drop(exchange: Exchange, error: MeshError): void {
    this.#unline(exchange);
    exchange.fail(error);
  }

  #unline(exchange: Exchange): void {
    if (!this.#line.delete(exchange) || !exchange.inLine) return;
    exchange.inLine = false;
    this.options.limits.waited(exchange.call.priority);
  }

  #abandonOpening(): void {
    for (const opening of this.#opening) {
      opening.abandon();
      this.options.limits.closed();
    }
    this.#opening.clear();
    this.#arrival.failed(this.#refusal());
  }

  #settleClose(): void {
    if (this.#closing !== undefined && this.#open.size + this.#opening.size + this.#line.size === 0) this.#closed?.();
  }

  #refusal(cause?: unknown): MeshError {
    const options = cause === undefined ? undefined : { cause };
    return new ConnectionLostError(this.endpoint, 'the endpoint was taken out of use', 'no', options);
  }
}
