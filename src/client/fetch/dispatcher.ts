import { STATUS_CODES } from 'node:http';
import { Dispatcher, errors } from 'undici';
import type { BodyFlow, BodySink } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { dispatchedCall, isUpgrade } from './dispatch-request.js';
import { asHandler } from './legacy-handler.js';

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
  readonly #running: Dispatch[] = [];
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
  override dispatch(options: Dispatcher.DispatchOptions, given: Dispatcher.DispatchHandler): boolean {
    if (this.#upgrades !== undefined && isUpgrade(options)) return this.#upgrades.dispatch(options, given);
    const handler = asHandler(given);
    const dispatch = new Dispatch(handler, this.#over);
    try {
      if (this.#destroyed) throw new errors.ClientDestroyedError();
      if (this.#closed) throw new errors.ClientClosedError();
      dispatch.place = this.#running.push(dispatch) - 1;
      dispatch.start(this.#service, dispatchedCall(options));
    } catch (error) {
      dispatch.fail(asError(error));
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
    for (const dispatch of [...this.#running]) dispatch.abort(error ?? new errors.ClientDestroyedError());
    return settle(this.#idle(), typeof first === 'function' ? first : second);
  }

  readonly #over = (dispatch: Dispatch): void => {
    const last = this.#running.at(-1);
    if (dispatch.place === -1 || last === undefined) return;
    this.#running[dispatch.place] = last;
    last.place = dispatch.place;
    dispatch.place = -1;
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

/** One request: undici's controller for the handler on one side, the sink of the reply's body on the other. */
class Dispatch implements Dispatcher.DispatchController, BodySink {
  aborted = false;
  paused = false;
  reason: Error | null = null;
  /** Where it is in the dispatcher's list; -1 when it is not. */
  place = -1;
  #call: Call | undefined;
  #reply: Reply | undefined;
  #flow: BodyFlow | undefined;
  #ended = false;

  constructor(
    private readonly handler: Dispatcher.DispatchHandler,
    private readonly over: (dispatch: Dispatch) => void,
  ) {}

  start(service: Service, call: Call): void {
    this.#call = call;
    this.handler.onRequestStart?.(this, undefined);
    if (this.#ended) {
      call.body?.cancel();
      return;
    }
    service(call).then(this.#onReply, this.#onError);
  }

  // What the handler tells.

  abort(reason: Error): void {
    if (this.#ended) return;
    this.aborted = true;
    this.reason = reason;
    const cancelled = new CancelledError('the request was aborted', 'maybe', { cause: reason });
    this.fail(reason);
    this.#call?.cancel(cancelled);
    this.#reply?.body.cancel(cancelled);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.#flow !== undefined) this.#flow.resume();
    else this.#deliver();
  }

  /** Ends it with an error: told once, and to nobody after the end. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.over(this);
    this.handler.onResponseError?.(this, error);
  }

  // What the reply's body delivers.

  write(chunk: Uint8Array): boolean {
    if (this.#ended) return true;
    try {
      this.handler.onResponseData?.(this, chunk as Buffer);
    } catch (error) {
      this.abort(asError(error));
    }
    return !this.paused;
  }

  end(trailers?: HeaderFields): void {
    if (this.#ended) return;
    this.#ended = true;
    this.over(this);
    try {
      this.handler.onResponseEnd?.(this, trailers ?? {});
    } catch (error) {
      this.handler.onResponseError?.(this, asError(error));
    }
  }

  readonly #onReply = (reply: Reply): void => {
    if (this.#ended) {
      reply.body.cancel();
      return;
    }
    this.#reply = reply;
    const { status } = reply;
    // A handler that throws aborts its request, as undici has it.
    try {
      this.handler.onResponseStart?.(this, status, reply.headers, STATUS_CODES[status] ?? '');
    } catch (error) {
      this.abort(asError(error));
    }
    if (!this.#ended && !this.paused) this.#deliver();
  };

  readonly #onError = (error: MeshError): void => this.fail(error);

  /** Starts the body; a handler that paused at the head gets it when it resumes. */
  #deliver(): void {
    const body = this.#reply?.body;
    if (body === undefined || this.#ended) return;
    this.#flow = body.pipe(this);
  }
}

const asError = (value: unknown): Error => (value instanceof Error ? value : new Error(String(value)));
