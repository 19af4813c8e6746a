import { type Body, BytesBody } from '../../core/body.js';
import { encodeFormData } from './form-data.js';
import { PartsBody } from './parts.js';
import { iterableSource, PulledBody, streamSource } from './source.js';

export interface ExtractedBody {
  readonly body: Body;
  /** What the content-type header says when the application did not set one. */
  readonly contentType: string | undefined;
}

/** A request body of any kind that fetch takes (Fetch, "extract a body"). */
export function extractBody(value: unknown, duplex: unknown): ExtractedBody {
  if (typeof value === 'string') {
    return { body: new BytesBody(Buffer.from(value)), contentType: 'text/plain;charset=UTF-8' };
  }
  // A copy: the application may go on to use its buffer.
  if (ArrayBuffer.isView(value)) {
    return untyped(new BytesBody(Buffer.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))));
  }
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return untyped(new BytesBody(Buffer.from(new Uint8Array(value))));
  }
  if (value instanceof URLSearchParams) {
    return {
      body: new BytesBody(Buffer.from(value.toString())),
      contentType: 'application/x-www-form-urlencoded;charset=UTF-8',
    };
  }
  if (value instanceof FormData) return encodeFormData(value);
  if (value instanceof Blob) {
    return { body: new PartsBody([value]), contentType: value.type === '' ? undefined : value.type };
  }
  if (value instanceof ReadableStream) {
    requireHalfDuplex(duplex);
    if (value.locked) throw new TypeError('Response body object should not be disturbed or locked');
    return untyped(new PulledBody(streamSource(value)));
  }
  if (isAsyncIterable(value)) {
    requireHalfDuplex(duplex);
    return untyped(new PulledBody(iterableSource(value)));
  }
  return { body: new BytesBody(Buffer.from(String(value))), contentType: 'text/plain;charset=UTF-8' };
}

const untyped = (body: Body): ExtractedBody => ({ body, contentType: undefined });

function requireHalfDuplex(duplex: unknown): void {
  if (duplex !== 'half')
    throw new TypeError("RequestInit: duplex option is required when sending a body: set duplex: 'half'");
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** How many turns of the microtask queue a stream is given to show that it ends with what it has at hand. */
const PEEK_TURNS = 24;
const PEEK_BYTES = 1_048_576;

/**
 * The body of a Request object. The platform hides what it was made of; a stream that is at its end within the same turn of the
 * event loop was made of bytes, and is sent as bytes: with its length, and again if need be.
 */
export async function requestObjectBody(stream: ReadableStream): Promise<Body> {
  const source = streamSource(stream);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const pending = source.next();
    const read = await settledSoon(pending);
    if (read === undefined || size > PEEK_BYTES) {
      return new PulledBody({ next: once(pending, source.next), stop: source.stop }, undefined, chunks);
    }
    if (read.done === true)
      return new BytesBody(chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks));
    if (!(read.value instanceof Uint8Array)) {
      return new PulledBody({ next: once(pending, source.next), stop: source.stop }, undefined, chunks);
    }
    chunks.push(read.value);
    size += read.value.byteLength;
  }
}

/** The promise's value if it has one within a few microtasks; undefined when it takes longer, or fails. */
async function settledSoon<T>(promise: Promise<T>): Promise<T | undefined> {
  let value: T | undefined;
  let settled = false;
  promise.then(
    (result) => {
      value = result;
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  for (let turn = 0; turn < PEEK_TURNS && !settled; turn++) await undefined;
  return value;
}

/** `first` once, then `rest`. */
function once<T>(first: Promise<T>, rest: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined = first;
  return () => {
    const promise = next ?? rest();
    next = undefined;
    return promise;
  };
}
