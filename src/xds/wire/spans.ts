import type { WireReader } from './reader.js';

/** Where the elements of a repeated field are in a message: two numbers each, for those that nobody may ever look at. */
export class Spans {
  readonly #ends: number[] = [];

  constructor(private readonly bytes: Uint8Array) {}

  get count(): number {
    return this.#ends.length / 2;
  }

  /** Remembers the element that `reader` is at, and passes over it. */
  add(reader: WireReader): void {
    const end = reader.length();
    this.#ends.push(reader.pos, end);
    reader.pos = end;
  }

  /** A view of one: copy it before keeping it. */
  at(index: number): Uint8Array {
    return this.bytes.subarray(this.#ends[2 * index], this.#ends[2 * index + 1]);
  }
}
