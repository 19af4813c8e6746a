import type { Body, BodySink } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import { brokenBody } from './errors.js';

/** What becomes of the bytes once they are all there. */
export type Convert<T> = (bytes: Uint8Array) => T;

/** Reads a reply's body to its end, without a stream in between. Rejects as reading a Response does. */
export function readAll<T>(body: Body, convert: Convert<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    body.pipe(new Gather(convert, resolve, reject));
  });
}

class Gather<T> implements BodySink {
  #first: Uint8Array | undefined;
  #more: Uint8Array[] | undefined;

  constructor(
    private readonly convert: Convert<T>,
    private readonly resolve: (value: T) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  write(chunk: Uint8Array): boolean {
    if (this.#first === undefined) this.#first = chunk;
    else {
      this.#more ??= [this.#first];
      this.#more.push(chunk);
    }
    return true;
  }

  end(): void {
    try {
      this.resolve(this.convert(this.#more === undefined ? (this.#first ?? EMPTY) : Buffer.concat(this.#more)));
    } catch (error) {
      this.reject(error);
    }
  }

  fail(error: MeshError): void {
    this.reject(brokenBody(error));
  }
}

const EMPTY = new Uint8Array(0);

/** "UTF-8 decode": a byte order mark is dropped, what is not UTF-8 becomes U+FFFD. */
export const toText: Convert<string> = (bytes) => {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return asBuffer(bytes).toString('utf8', start);
};

export const toJson: Convert<unknown> = (bytes) => JSON.parse(toText(bytes)) as unknown;

/** A copy: chunks share the memory that they were read into. */
export const toArrayBuffer: Convert<ArrayBuffer> = (bytes) => toBytes(bytes).buffer as ArrayBuffer;

export const toBytes: Convert<Uint8Array> = (bytes) => new Uint8Array(bytes);

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
