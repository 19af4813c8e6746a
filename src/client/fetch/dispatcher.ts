import errors from 'undici/lib/core/errors.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import type { Service } from '../../core/service.js';
import { asError, type DispatchExchange } from './dispatch-exchange.js';
import { exchangeFor } from './dispatch-handlers.js';
import { dispatchedCall, isUpgrade } from './dispatch-request.js';

export interface MeshDispatcherOptions {
  /** Where upgrades (WebSockets) and CONNECT go, which the mesh does not carry. Default: they are refused. Stays its owner's to close. */
  readonly upgrades?: Dispatcher;
}

/**
 * The mesh as an undici Dispatcher: for `undici.request`, for the platform's fetch (`fetch(url, { dispatcher })`), and as the
 * global dispatcher for code that is not changed. Takes handlers of undici 7 and of those before it.
 */
export class MeshDispatcher extends Dispatcher {
  readonly #service: Service;
  readonly #upgrades: Dispatcher | undefined;
  /** In no order; each knows its place. A Set would do, but tables that it has outgrown keep ended requests alive until a full collection. */
  readonly #running: DispatchExchange[] = [];
  #closed = false;
  #destroyed = false;
  #whenIdle: (() => void)[] = [];

  constructor(service: Service, options: MeshDispatcherOptions = {}) {
    super();
    this.#service = service;
    this.#upgrades = options.upgrades;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** Always true: the mesh's own limits refuse what is too much. */
  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.#upgrades !== undefined && isUpgrade(options)) return this.#upgrades.dispatch(options, handler);
    const exchange = exchangeFor(handler, this.#over);
    try {
      if (this.#destroyed) throw new errors.ClientDestroyedError();
      if (this.#closed) throw new errors.ClientClosedError();
      exchange.place = this.#running.push(exchange) - 1;
      exchange.start(this.#service, dispatchedCall(options));
    } catch (error) {
      exchange.fail(asError(error));
    }
    return true;
  }

  /** No new requests; resolves when those under way have ended. */
  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | void {
    this.#closed = true;
    return settle(this.#idle(), callback);
  }

  /** Ends those under way, too, with `error`. */
  override destroy(): Promise<void>;
  override destroy(error: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  override destroy(first?: Error | null | (() => void), second?: () => void): Promise<void> | void {
    const error = typeof first === 'function' ? undefined : first;
    this.#closed = true;
    this.#destroyed = true;
    for (const exchange of [...this.#running]) exchange.abort(error ?? new errors.ClientDestroyedError());
    return settle(this.#idle(), typeof first === 'function' ? first : second);
  }

  readonly #over = (exchange: DispatchExchange): void => {
    const last = this.#running.at(-1);
    if (exchange.place === -1 || last === undefined) return;
    this.#running[exchange.place] = last;
    last.place = exchange.place;
    exchange.place = -1;
    this.#running.pop();
    if (this.#running.length > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  };

  #idle(): Promise<void> {
    return this.#running.length === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }
}

function settle(done: Promise<void>, callback: (() => void) | undefined): Promise<void> | void {
  if (callback === undefined) return done;
  void done.then(callback);
}
