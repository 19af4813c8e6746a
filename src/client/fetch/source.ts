import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import { callersContext } from '../../core/context.js';
import { type MeshError, RequestBodyError } from '../../core/errors.js';

/** Something to pull chunks from: a web stream's reader, an iterator. */
export interface Source {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: unknown }>;
  /** Not wanted any further. */
  stop(reason: unknown): void;
}

/** A pulled source as a pushed body: the next chunk is asked for when the sink has room. Once only. */
export class PulledBody implements Body, BodyFlow {
  readonly replayable = false;
  #sink: BodySink | undefined;
  #pulling = false;
  #over = false;
  /** Where the application's source runs, whatever event it is that there is room again in. */
  readonly #context = callersContext();

  constructor(
    private readonly source: Source,
    readonly size: number | undefined = undefined,
    /** Chunks that were pulled before it was known that there are more. */
    private readonly first: readonly Uint8Array[] = [],
  ) {}

  pipe(sink: BodySink): BodyFlow {
    if (this.#sink !== undefined) throw new Error('a request body made of a stream can be sent only once');
    this.#sink = sink;
    let more = true;
    for (const chunk of this.first) more = sink.write(chunk);
    if (more) this.#pull();
    return this;
  }

  resume(): void {
    this.#pull();
  }

  cancel(reason?: MeshError): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.runInAsyncScope(this.source.stop, this.source, reason);
  }

  #pull(): void {
    if (this.#pulling || this.#over) return;
    this.#pulling = true;
    this.#context.runInAsyncScope(this.#ask, this);
  }

  #ask(): void {
    this.source.next().then(
      ({ done, value }) => this.#pulled(done === true, value),
      (error: unknown) => this.#fail('the source of the body failed', error),
    );
  }

  #pulled(done: boolean, value: unknown): void {
    this.#pulling = false;
    const sink = this.#sink;
    if (this.#over || sink === undefined) return;
    if (done) {
      this.#over = true;
      sink.end();
    } else if (!(value instanceof Uint8Array)) {
      this.source.stop(undefined);
      this.#fail('a chunk of the body is not a Uint8Array', new TypeError('Received non-Uint8Array chunk'));
    } else if (value.byteLength === 0 || sink.write(value)) this.#pull();
  }

  #fail(message: string, cause: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink?.fail(new RequestBodyError(message, { cause }));
  }
}

/** The chunks of a ReadableStream, which is locked from here on. */
export function streamSource(stream: ReadableStream): Source {
  const reader = stream.getReader();
  return {
    next: () => reader.read(),
    stop: (reason) => {
      reader.cancel(reason).catch(ignore);
    },
  };
}

/** The chunks of an iterable, strings as UTF-8: a Node Readable, a generator. */
export function iterableSource(iterable: AsyncIterable<unknown> | Iterable<unknown>): Source {
  const iterator =
    Symbol.asyncIterator in iterable
      ? (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
      : (iterable as Iterable<unknown>)[Symbol.iterator]();
  return {
    async next() {
      const { done, value } = await iterator.next();
      return { done: done === true, value: typeof value === 'string' ? Buffer.from(value) : value };
    },
    stop: () => {
      Promise.resolve(iterator.return?.()).catch(ignore);
    },
  };
}

const ignore = (): void => {};
