import type { BodyFlow, BodySink } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import { callersContext } from '../../core/context.js';
import { CancelledError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';

/** One request through the dispatcher, from its start to its only end. How its handler is told is up to the shape of the handler. */
export abstract class DispatchExchange implements BodySink {
  aborted = false;
  paused = false;
  reason: Error | null = null;
  /** Where it is in the dispatcher's list; -1 when it is not. Written by the dispatcher. */
  place = -1;
  #call: Call | undefined;
  #reply: Reply | undefined;
  #flow: BodyFlow | undefined;
  #ended = false;
  /** Where the handler is told: the events of a connection come in the context of whoever opened it. */
  readonly #context = callersContext();

  constructor(private readonly over: (exchange: DispatchExchange) => void) {}

  protected abstract tellStart(): void;
  protected abstract tellHead(reply: Reply): void;
  protected abstract tellData(chunk: Uint8Array): void;
  protected abstract tellEnd(trailers: HeaderFields | undefined): void;
  protected abstract tellError(error: Error): void;

  start(service: Service, call: Call): void {
    this.#call = call;
    this.tellStart();
    if (this.#ended) {
      call.body?.cancel();
      return;
    }
    service(call).then(
      (reply) => this.#headed(reply),
      (error) => this.fail(error),
    );
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
    this.#context.runInAsyncScope(this.tellError, this, error);
  }

  // What the reply's body delivers.

  write(chunk: Uint8Array): boolean {
    if (this.#ended) return true;
    try {
      this.#context.runInAsyncScope(this.tellData, this, chunk);
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
      this.#context.runInAsyncScope(this.tellEnd, this, trailers);
    } catch (error) {
      this.#context.runInAsyncScope(this.tellError, this, asError(error));
    }
  }

  #headed(reply: Reply): void {
    if (this.#ended) {
      reply.body.cancel();
      return;
    }
    this.#reply = reply;
    // A handler that throws aborts its request, as undici has it.
    try {
      this.tellHead(reply);
    } catch (error) {
      this.abort(asError(error));
    }
    if (!this.#ended && !this.paused) this.#deliver();
  }

  /** Starts the body; a handler that paused at the head gets it when it resumes. */
  #deliver(): void {
    const body = this.#reply?.body;
    if (body === undefined || this.#ended) return;
    this.#flow = body.pipe(this);
  }
}

export const asError = (value: unknown): Error => (value instanceof Error ? value : new Error(String(value)));
