import type { HeaderFields } from './headers.js';
import type { MeshError } from './errors.js';

/**
 * A message body, of a request or a reply, HTTP/1.1 or HTTP/2: chunks, then perhaps trailers. It is pushed, not pulled:
 * a callback per chunk costs a tenth of an async iterator, and back-pressure is the return value of `write`.
 */
export interface Body {
  /** Size in bytes when it is known beforehand, else undefined. */
  readonly size: number | undefined;
  /** Whether `pipe` may be called once more after an attempt that failed. */
  readonly replayable: boolean;
  /** Starts delivery to `sink`. May deliver synchronously, before it returns. */
  pipe(sink: BodySink): BodyFlow;
  /** Nobody wants it (any more): frees whatever is behind it. Safe to call at any time, and twice. */
  cancel(reason?: MeshError): void;
}

export interface BodySink {
  /** Takes a chunk. False: please wait for `flow.resume()`; chunks already under way may still come. */
  write(chunk: Uint8Array): boolean;
  /** The last call but for none; trailers when there are any. */
  end(trailers?: HeaderFields): void;
  /** The body broke off. Nothing follows. */
  fail(error: MeshError): void;
}

/** The sink's side of a running delivery. */
export interface BodyFlow {
  /** Go on after `write` returned false. */
  resume(): void;
}

const NO_FLOW: BodyFlow = { resume() {} };

/** A body that is all there: can be sent as often as needed. Transports may take `bytes` directly. */
export class BytesBody implements Body {
  readonly replayable = true;
  constructor(
    readonly bytes: Uint8Array,
    readonly trailers?: HeaderFields,
  ) {}

  get size(): number {
    return this.bytes.byteLength;
  }

  pipe(sink: BodySink): BodyFlow {
    if (this.bytes.byteLength > 0) sink.write(this.bytes);
    sink.end(this.trailers);
    return NO_FLOW;
  }

  cancel(): void {}
}

/** What feeds a StreamBody: told when to go on and when to stop. */
export interface BodyProducer {
  /** The consumer has room again. Called only after `write` returned false. */
  resume(): void;
  /** The consumer is gone: stop and free what is held. */
  cancel(reason: MeshError | undefined): void;
}

/** How many bytes wait for a consumer that is not there yet before the producer is asked to pause: 64 KiB. */
const HIGH_WATER_BYTES = 65_536;

/**
 * A body under way: a producer writes at one end, one consumer pipes at the other. Chunks that come before the consumer
 * wait here, up to 64 KiB, then the producer is asked to pause; so a small reply needs no pause at all.
 */
export class StreamBody implements Body, BodySink, BodyFlow {
  readonly replayable = false;
  #sink: BodySink | undefined;
  #waiting: Uint8Array[] | undefined;
  #waitingBytes = 0;
  /** The sink said wait, or the waiting chunks are many; reset by resume(). */
  #paused = false;
  #ended = false;
  #delivered = false;
  #trailers: HeaderFields | undefined;
  #error: MeshError | undefined;

  constructor(
    private readonly producer: BodyProducer,
    readonly size: number | undefined = undefined,
  ) {}

  /** True once the producer has ended or failed the body. */
  get ended(): boolean {
    return this.#ended;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#ended) return true;
    if (this.#sink !== undefined && this.#waiting === undefined) {
      if (!this.#paused) {
        if (!this.#sink.write(chunk)) this.#paused = true;
        return !this.#paused;
      }
    }
    this.#waiting ??= [];
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.byteLength;
    if (this.#sink === undefined && this.#waitingBytes >= HIGH_WATER_BYTES) this.#paused = true;
    return !this.#paused;
  }

  end(trailers?: HeaderFields): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    this.#finish();
  }

  fail(error: MeshError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    // What came before the failure is still delivered, so that a reader sees how far it got.
    this.#finish();
  }

  pipe(sink: BodySink): BodyFlow {
    if (this.#sink !== undefined) throw new Error('a StreamBody can be piped only once');
    this.#sink = sink;
    this.#flush(true);
    return this;
  }

  resume(): void {
    if (this.#paused) this.#flush(true);
  }

  cancel(reason?: MeshError): void {
    if (this.#delivered) return;
    this.#delivered = true;
    this.#waiting = undefined;
    const running = !this.#ended;
    this.#ended = true;
    if (running) this.producer.cancel(reason);
  }

  #flush(wakeProducer: boolean): void {
    const sink = this.#sink;
    if (sink === undefined || this.#delivered) return;
    const wasPaused = this.#paused;
    this.#paused = false;
    while (this.#waiting !== undefined) {
      const chunks: Uint8Array[] = this.#waiting;
      this.#waiting = undefined;
      this.#waitingBytes = 0;
      for (let i = 0; i < chunks.length; i++) {
        if (!sink.write(chunks[i] as Uint8Array)) {
          this.#paused = true;
          if (i + 1 < chunks.length) {
            const rest = chunks.slice(i + 1);
            this.#waiting = this.#waiting === undefined ? rest : rest.concat(this.#waiting);
            this.#waitingBytes = this.#waiting.reduce((sum, chunk) => sum + chunk.byteLength, 0);
          }
          break;
        }
      }
      if (this.#paused) break;
    }
    if (this.#ended) this.#finish();
    else if (wasPaused && !this.#paused && wakeProducer) this.producer.resume();
  }

  #finish(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#waiting !== undefined || this.#delivered) return;
    this.#delivered = true;
    if (this.#error !== undefined) sink.fail(this.#error);
    else sink.end(this.#trailers);
  }
}

/** Reads a whole body into memory, at most `limit` bytes; `tooLarge` makes the error for one that is larger. */
export function collect(body: Body, limit: number, tooLarge: (limit: number) => MeshError): Promise<Uint8Array> {
  if (body instanceof BytesBody) {
    return body.size > limit ? Promise.reject(tooLarge(limit)) : Promise.resolve(body.bytes);
  }
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    body.pipe({
      write(chunk) {
        size += chunk.byteLength;
        if (size > limit) {
          const error = tooLarge(limit);
          body.cancel(error);
          reject(error);
        } else chunks.push(chunk);
        return true;
      },
      end: () => resolve(chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)),
      fail: reject,
    });
  });
}
