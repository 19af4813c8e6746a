import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';

/** How much of a streaming request body is kept for another attempt: 64 KiB, as Linkerd keeps. */
export const REPLAY_LIMIT_BYTES = 65_536;

/**
 * Keeps what a streaming body has delivered, so that a second attempt can have it again. Once more than the limit has passed, the
 * body is not replayable any more, and what was kept is let go.
 */
export class ReplayBody implements Body, BodyFlow {
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #ended = false;
  #trailers: HeaderFields | undefined;
  #error: MeshError | undefined;
  /** The attempt that reads now; replaced by the next `pipe`. */
  #sink: BodySink | undefined;
  #source: BodyFlow | undefined;
  #started = false;

  constructor(
    private readonly body: Body,
    private readonly limitBytes = REPLAY_LIMIT_BYTES,
  ) {}

  get size(): number | undefined {
    return this.body.size;
  }

  get replayable(): boolean {
    return this.#kept !== undefined && this.#error === undefined;
  }

  pipe(sink: BodySink): BodyFlow {
    if (this.#started && this.#kept === undefined) throw new Error('the body has grown beyond its replay buffer');
    this.#sink = sink;
    let room = true;
    for (const chunk of this.#kept ?? []) room = sink.write(chunk);
    if (!this.#started) {
      this.#started = true;
      this.#source = this.body.pipe({
        write: (chunk) => this.#write(chunk),
        end: (trailers) => {
          this.#ended = true;
          this.#trailers = trailers;
          this.#sink?.end(trailers);
        },
        fail: (error) => {
          this.#error = error;
          this.#sink?.fail(error);
        },
      });
    } else if (this.#error !== undefined) sink.fail(this.#error);
    else if (this.#ended) sink.end(this.#trailers);
    else if (room) this.#source?.resume();
    return this;
  }

  resume(): void {
    this.#source?.resume();
  }

  /**
   * An attempt is over, whoever ends it: its sink gets no more, and the source waits for the next one. To end the body itself is for the
   * owner of all attempts: `dispose`.
   */
  cancel(): void {
    this.#sink = undefined;
  }

  /** No attempt will follow the one that reads now: nothing more is kept. */
  commit(): void {
    this.#kept = undefined;
  }

  /** No attempt will follow, and none is reading. */
  dispose(reason?: MeshError): void {
    this.#sink = undefined;
    this.#kept = undefined;
    this.body.cancel(reason);
  }

  #write(chunk: Uint8Array): boolean {
    const sink = this.#sink;
    if (this.#kept !== undefined) {
      this.#keptBytes += chunk.byteLength;
      // Between attempts nobody takes it, so it is kept beyond the limit: what the source had under way when it was asked to wait.
      if (this.#keptBytes > this.limitBytes && sink !== undefined) this.#kept = undefined;
      else this.#kept.push(chunk);
    }
    return sink === undefined ? false : sink.write(chunk);
  }
}
