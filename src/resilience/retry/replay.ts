import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';

/** How much of a streaming request body is kept for another attempt: 64 KiB, as Linkerd keeps. */
export const REPLAY_LIMIT_BYTES = 65_536;

/**
 * Keeps what a streaming body has delivered, so that a second attempt can have it again. Once more than the limit has passed, the
 * body is not replayable any more, and what was kept is let go. Each attempt reads through a body of its own (`attempt`), so that one that
 * is over cannot disturb the next.
 */
export class ReplayBody {
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #ended = false;
  #trailers: HeaderFields | undefined;
  #error: MeshError | undefined;
  /** The attempt that reads now, and where it wants the chunks; undefined between attempts. */
  #reader: AttemptBody | undefined;
  #sink: BodySink | undefined;
  /** The reader that `freeze` stopped, and how many chunks it has had. */
  #frozen: { readonly reader: AttemptBody; readonly sink: BodySink; readonly had: number } | undefined;
  #source: BodyFlow | undefined;
  #started = false;
  #committed = false;

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

  /** The body for one attempt. */
  attempt(): Body {
    return new AttemptBody(this);
  }

  /** The attempt that reads now has failed, and another may follow: from here on everything is kept. Called in the turn of that decision. */
  freeze(): void {
    if (this.#reader !== undefined && this.#sink !== undefined) {
      this.#frozen = { reader: this.#reader, sink: this.#sink, had: this.#kept?.length ?? 0 };
    }
    this.#reader = undefined;
    this.#sink = undefined;
  }

  /** No attempt will follow after all, and the reply of the one that was stopped stands: it goes on reading. */
  thaw(): void {
    const frozen = this.#frozen;
    if (frozen === undefined || this.#reader !== undefined) return;
    this.#read(frozen.reader, frozen.sink, frozen.had);
  }

  /** No attempt will follow the one that reads now: nothing more is kept. */
  commit(): void {
    this.#committed = true;
    this.#kept = undefined;
  }

  /** No attempt will follow, and none is reading. */
  dispose(reason?: MeshError): void {
    this.#reader = undefined;
    this.#sink = undefined;
    this.#kept = undefined;
    this.body.cancel(reason);
  }

  // What attempts call.

  begin(reader: AttemptBody, sink: BodySink): void {
    if (this.#started && this.#kept === undefined) throw new Error('the body has grown beyond its replay buffer');
    this.#frozen = undefined;
    this.#read(reader, sink, 0);
  }

  resume(reader: AttemptBody): void {
    if (reader === this.#reader) this.#source?.resume();
  }

  /** The attempt is over: its sink gets no more. The source waits for the next one, or ends when there will be none. */
  release(reader: AttemptBody, reason: MeshError | undefined): void {
    if (this.#frozen?.reader === reader) this.#frozen = undefined;
    if (reader !== this.#reader) return;
    this.#reader = undefined;
    this.#sink = undefined;
    if (this.#committed) this.body.cancel(reason);
  }

  /** Gives `sink` what was kept from chunk `from` on, then what comes. */
  #read(reader: AttemptBody, sink: BodySink, from: number): void {
    this.#reader = reader;
    this.#sink = sink;
    let room = true;
    for (const chunk of (this.#kept ?? []).slice(from)) room = sink.write(chunk);
    if (!this.#started) this.#start();
    else if (this.#error !== undefined) sink.fail(this.#error);
    else if (this.#ended) sink.end(this.#trailers);
    else if (room) this.#source?.resume();
  }

  #start(): void {
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

/** What one attempt sees of a ReplayBody. */
class AttemptBody implements Body, BodyFlow {
  constructor(private readonly replay: ReplayBody) {}

  get size(): number | undefined {
    return this.replay.size;
  }

  get replayable(): boolean {
    return this.replay.replayable;
  }

  pipe(sink: BodySink): BodyFlow {
    this.replay.begin(this, sink);
    return this;
  }

  resume(): void {
    this.replay.resume(this);
  }

  cancel(reason?: MeshError): void {
    this.replay.release(this, reason);
  }
}
