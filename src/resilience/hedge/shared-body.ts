import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';

/** How much of a streaming request body is kept for further attempts: 64 KiB, as for retries. */
export const SHARED_LIMIT_BYTES = 65_536;

/**
 * A streaming request body that several attempts read at the same time. What it has delivered is kept, so that each has all of it, at its own pace; once
 * that is more than the limit, the call is bound to the attempt that has read most ("on which the maximum number of
 * messages have already been sent" - gRFC A6), and nothing is kept any longer.
 */
export class SharedBody {
  /** What was delivered; once bound to one reader, only what that one has not read. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #ended = false;
  #trailers: HeaderFields | undefined;
  #error: MeshError | undefined;
  #flow: BodyFlow | undefined;
  #started = false;
  /** The source was told to wait. */
  #paused = false;
  readonly #readers = new Set<Reader>();
  #bound: Body | undefined;
  /** Of the attempt that failed last: it goes on should that one stand. */
  #resting: Reader | undefined;

  constructor(
    private readonly body: Body,
    /** There is too much for several attempts: this one of them stays. */
    private readonly onBound: (attempt: Body) => void,
    private readonly limitBytes = SHARED_LIMIT_BYTES,
  ) {}

  get size(): number | undefined {
    return this.body.size;
  }

  /** Whether one more attempt can have it whole. */
  get replayable(): boolean {
    return this.#bound === undefined && this.#error === undefined;
  }

  /** The body for one attempt. */
  attempt(): Body {
    return new Reader(this);
  }

  /** No attempt but this one goes on. */
  bind(attempt: Body): void {
    if (this.#bound !== undefined) return;
    this.#bound = attempt;
    for (const reader of [...this.#readers]) if (reader !== attempt) this.#readers.delete(reader);
    if (this.#resting === attempt) this.#readers.add(this.#resting);
    this.#resting = undefined;
    for (const reader of [...this.#readers]) this.pump(reader);
    this.#wake();
  }

  /** The attempt has failed: it reads no more, unless the call is bound to it when no other betters it. */
  rest(attempt: Body): void {
    if (this.#bound !== undefined) return;
    this.#resting = undefined;
    for (const reader of this.#readers) if (reader === attempt) this.#resting = reader;
    if (this.#resting !== undefined) this.#readers.delete(this.#resting);
  }

  /** No attempt goes on. */
  dispose(reason: MeshError | undefined): void {
    this.#readers.clear();
    this.#resting = undefined;
    this.#kept = [];
    this.body.cancel(reason);
  }

  // What readers call.

  begin(reader: Reader): void {
    if (this.#bound !== undefined && this.#bound !== reader) {
      reader.sink.fail(new CancelledError('the call is bound to another attempt', 'maybe'));
      return;
    }
    this.#readers.add(reader);
    reader.at = 0;
    this.pump(reader);
    if (this.#started) this.#wake();
    else this.#start();
  }

  /** Gives the reader what it has not had, as long as it has room. */
  pump(reader: Reader): void {
    while (!reader.paused && reader.at < this.#kept.length && this.#readers.has(reader)) {
      reader.paused = !reader.sink.write(this.#kept[reader.at++] as Uint8Array);
    }
    if (this.#bound === reader) this.#drop(reader);
    if (reader.at < this.#kept.length || !this.#readers.has(reader)) return;
    if (this.#error !== undefined) {
      this.#readers.delete(reader);
      reader.sink.fail(this.#error);
    } else if (this.#ended) {
      this.#readers.delete(reader);
      reader.sink.end(this.#trailers);
    }
  }

  resume(reader: Reader): void {
    if (!this.#readers.has(reader)) return;
    this.pump(reader);
    this.#wake();
  }

  release(reader: Reader, reason: MeshError | undefined): void {
    this.#readers.delete(reader);
    if (this.#resting === reader) this.#resting = undefined;
    if (this.#bound === reader) this.body.cancel(reason);
  }

  /** What the only reader has had is not needed any more. */
  #drop(reader: Reader): void {
    if (this.#bound !== reader) return;
    this.#kept.splice(0, reader.at);
    reader.at = 0;
  }

  #start(): void {
    this.#started = true;
    this.#flow = this.body.pipe({
      write: (chunk) => this.#write(chunk),
      end: (trailers) => {
        this.#ended = true;
        this.#trailers = trailers;
        for (const reader of [...this.#readers]) this.pump(reader);
      },
      fail: (error) => {
        this.#error = error;
        for (const reader of [...this.#readers]) this.pump(reader);
      },
    });
  }

  #write(chunk: Uint8Array): boolean {
    this.#kept.push(chunk);
    this.#keptBytes += chunk.byteLength;
    for (const reader of [...this.#readers]) this.pump(reader);
    if (this.#keptBytes > this.limitBytes) this.#commit();
    this.#paused = !this.#wanted();
    return !this.#paused;
  }

  #commit(): void {
    if (this.#bound !== undefined) return;
    let most: Reader | undefined;
    for (const reader of this.#readers) if (most === undefined || reader.at > most.at) most = reader;
    // Between two attempts nobody reads: what the source had under way is kept for the next.
    if (most === undefined) return;
    this.bind(most);
    this.onBound(most);
  }

  #wanted(): boolean {
    for (const reader of this.#readers) if (!reader.paused) return true;
    return false;
  }

  #wake(): void {
    if (!this.#paused || this.#ended || !this.#wanted()) return;
    this.#paused = false;
    this.#flow?.resume();
  }
}

/** What one attempt sees of a SharedBody. */
class Reader implements Body, BodyFlow {
  sink!: BodySink;
  /** Chunks that it has had of those that are kept, and whether it asked to wait. Written by the body. */
  at = 0;
  paused = false;

  constructor(private readonly shared: SharedBody) {}

  get size(): number | undefined {
    return this.shared.size;
  }

  get replayable(): boolean {
    return this.shared.replayable;
  }

  pipe(sink: BodySink): BodyFlow {
    this.sink = sink;
    this.shared.begin(this);
    return this;
  }

  resume(): void {
    this.paused = false;
    this.shared.resume(this);
  }

  cancel(reason?: MeshError): void {
    this.shared.release(this, reason);
  }
}
