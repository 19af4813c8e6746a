import { type Body, BytesBody, type BodySink } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { DeadlineEntry } from '../../core/deadlines.js';
import type { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';
import type { Filter } from '../../core/service.js';
import type { DeadlineEnv } from './deadline.js';

/**
 * Cancels a call in which nothing moves in either direction for `idleMs` milliseconds, up to the end of its reply (Envoy `idle_timeout`, and
 * `per_try_idle_timeout` for an attempt). Undefined when there is no limit.
 */
export const idleTimeout = (
  idleMs: number | undefined,
  env: DeadlineEnv,
  error: (idleMs: number) => MeshError,
): Filter | undefined =>
  idleMs === undefined || idleMs === 0
    ? undefined
    : (next) => (call) => {
        const watch = new IdleWatch(call, idleMs, env, error);
        const { body } = call;
        // What is all there is sent at once. One that may be had again need not be: retries keep what they have seen of an upload.
        if (body !== undefined && !(body instanceof BytesBody)) call.body = watch.watched(body);
        return next(call).then(
          (reply) => watch.reply(reply),
          (failure: unknown) => {
            watch.stop();
            throw failure;
          },
        );
      };

class IdleWatch {
  #movedAt: number;
  #entry: DeadlineEntry;

  constructor(
    private readonly call: Call,
    private readonly idleMs: number,
    private readonly env: DeadlineEnv,
    private readonly error: (idleMs: number) => MeshError,
  ) {
    this.#movedAt = env.clock.now();
    this.#entry = this.#watch();
  }

  stop(): void {
    this.#entry.stop();
  }

  reply(reply: Reply): Reply {
    this.#moved();
    reply.onEnd(() => this.stop());
    return {
      status: reply.status,
      headers: reply.headers,
      body: this.watched(reply.body),
      onEnd: (listener) => reply.onEnd(listener),
    };
  }

  /** The body, each chunk of which is a sign of life. */
  watched(body: Body): Body {
    return {
      size: body.size,
      get replayable() {
        return body.replayable;
      },
      cancel: (reason) => body.cancel(reason),
      pipe: (sink: BodySink) =>
        body.pipe({
          write: (chunk) => {
            this.#moved();
            return sink.write(chunk);
          },
          end: (trailers) => {
            this.#moved();
            sink.end(trailers);
          },
          fail: (failure) => sink.fail(failure),
        }),
    };
  }

  #moved(): void {
    this.#movedAt = this.env.clock.now();
  }

  /** One entry at a time: what moved meanwhile is looked at when it is due. */
  #watch(): DeadlineEntry {
    return this.env.deadlines.watch(this.#movedAt + this.idleMs, () => {
      if (this.env.clock.now() - this.#movedAt < this.idleMs) this.#entry = this.#watch();
      else this.call.cancel(this.error(this.idleMs));
    });
  }
}
