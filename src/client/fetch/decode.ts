import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  constants,
  type Gunzip,
} from 'node:zlib';
import type { Transform } from 'node:stream';
import { type Body, type BodyFlow, type BodySink, StreamBody } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import { type HeaderFields, headerValue } from '../../core/headers.js';
import { ReplyDecodeError, ReplyTooLargeError } from './errors.js';

/** Codings one inside another: undici's and browsers' bound. */
const MAX_CODINGS = 5;
/** Apache's mod_deflate: `DeflateInflateRatioLimit`, 200. Text seldom reaches 20. */
const MAX_RATIO = 200;
/** Below this many bytes the ratio does not matter. */
const RATIO_FREE_BYTES = 67_108_864;

/**
 * The body without its `content-encoding`. As browsers do: an unknown coding leaves the body as it is, and a cut-off end passes.
 * Back-pressure reaches through to the connection.
 */
export function decoded(body: Body, fields: HeaderFields): Body {
  const codings = headerValue(fields, 'content-encoding')
    ?.split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings === undefined || codings.length === 0 || !codings.every((coding) => coding in DECODERS)) return body;
  if (codings.length > MAX_CODINGS) {
    body.cancel();
    const broken = new StreamBody({ resume() {}, cancel() {} });
    broken.fail(
      new ReplyDecodeError(`content-encoding names ${codings.length} codings; at most ${MAX_CODINGS} are undone`),
    );
    return broken;
  }
  return codings.reduceRight<Body>((inner, coding) => new DecodedBody(inner, coding), body);
}

/** Lenient as undici and browsers: what came before a cut is delivered. */
const LENIENT = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };

const gunzip = (): Gunzip => createGunzip(LENIENT);
const DECODERS: Readonly<Record<string, (first: Uint8Array) => Transform>> = Object.assign(Object.create(null), {
  gzip: gunzip,
  'x-gzip': gunzip,
  // "deflate" is the zlib format, but many servers send it without: the low four bits of a zlib header are 8 (RFC 1950).
  deflate: (first: Uint8Array) => (((first[0] ?? 0) & 0x0f) === 8 ? createInflate(LENIENT) : createInflateRaw(LENIENT)),
  br: () =>
    createBrotliDecompress({
      flush: constants.BROTLI_OPERATION_FLUSH,
      finishFlush: constants.BROTLI_OPERATION_FLUSH,
    }),
});

class DecodedBody implements Body, BodySink, BodyFlow {
  readonly size = undefined;
  readonly replayable = false;
  #sink: BodySink | undefined;
  #flow: BodyFlow | undefined;
  #decoder: Transform | undefined;
  #over = false;
  #in = 0;
  #out = 0;

  constructor(
    private readonly source: Body,
    private readonly coding: string,
  ) {}

  pipe(sink: BodySink): BodyFlow {
    this.#sink = sink;
    this.#flow = this.source.pipe(this);
    return this;
  }

  resume(): void {
    this.#decoder?.resume();
  }

  cancel(reason?: MeshError): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    this.source.cancel(reason);
  }

  // What the source delivers.

  write(chunk: Uint8Array): boolean {
    if (this.#over || chunk.byteLength === 0) return true;
    this.#in += chunk.byteLength;
    this.#decoder ??= this.#decode(chunk);
    return this.#decoder.write(chunk);
  }

  end(trailers?: HeaderFields): void {
    if (this.#over) return;
    if (this.#decoder === undefined) {
      this.#over = true;
      this.#sink?.end(trailers);
      return;
    }
    this.#decoder.once('end', () => {
      if (this.#over) return;
      this.#over = true;
      this.#sink?.end(trailers);
    });
    this.#decoder.end();
  }

  fail(error: MeshError): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    this.#sink?.fail(error);
  }

  #decode(first: Uint8Array): Transform {
    const decoder = (DECODERS[this.coding] as (first: Uint8Array) => Transform)(first);
    decoder.on('data', (chunk: Uint8Array) => {
      if (this.#over) return;
      this.#out += chunk.byteLength;
      if (this.#out > RATIO_FREE_BYTES && this.#out > this.#in * MAX_RATIO) {
        const detail = `${this.#in} bytes of ${this.coding} became more than ${this.#out}`;
        this.#break(
          new ReplyTooLargeError(`${detail}: a reply may grow ${MAX_RATIO} times beyond ${RATIO_FREE_BYTES} bytes`),
        );
      } else if (this.#sink?.write(chunk) === false) decoder.pause();
    });
    decoder.on('drain', () => this.#flow?.resume());
    decoder.on('error', (cause) => {
      if (!this.#over)
        this.#break(new ReplyDecodeError(`the reply is not ${this.coding}: ${cause.message}`, { cause }));
    });
    return decoder;
  }

  #break(error: MeshError): void {
    this.#over = true;
    this.#decoder?.destroy();
    this.source.cancel(error);
    this.#sink?.fail(error);
  }
}
