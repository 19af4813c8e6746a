import { isUtf8 } from 'node:buffer';
import { BYTES_PER_STEP, MAX_GROUP_FIELDS, MAX_STRING_BYTES } from './limits.js';
import type { ScalarType } from './schema.js';

/** What is wrong at the reader's position. The decoder adds the field path and throws it as a CodecError. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const START_GROUP = 3;
export const END_GROUP = 4;
export const FIXED32 = 5;

/** Reads protobuf's wire format strictly: nothing beyond `end`, no overlong varint, no invalid UTF-8. */
export class WireReader {
  readonly #bytes: Buffer;
  pos = 0;
  /** What was done so far, in fields: who reads in steps adds one for each, the reader what costs more than that. */
  work = 0;
  /** One past the last byte of the message being read; the decoder narrows it for a nested one. */
  end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = bytes.byteLength;
  }

  #advance(count: number): number {
    const start = this.pos;
    if (count > this.end - start)
      throw new MalformedError(`truncated: ${count} bytes wanted, ${this.end - start} left`);
    this.pos = start + count;
    return start;
  }

  /** The low 32 bits, unsigned; a longer varint loses the rest, as the specification has it for 32-bit types. */
  varint32(): number {
    const byte = this.pos < this.end ? (this.#bytes[this.pos] as number) : 0x80;
    if (byte < 0x80) {
      this.pos++;
      return byte;
    }
    return this.#varint().low;
  }

  #varint(): { low: number; high: number } {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#advance(1)] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) return { low: low >>> 0, high: high >>> 0 };
    }
    throw new MalformedError('a varint of more than 10 bytes');
  }

  /** As a number: exact up to 2^53, the nearest double beyond. */
  uint64(): number {
    const { low, high } = this.#varint();
    return high * 4_294_967_296 + low;
  }

  int64(): number {
    const { low, high } = this.#varint();
    return (high | 0) * 4_294_967_296 + low;
  }

  /** Zig-zag: 0, -1, 1, -2, … */
  sint64(): number {
    const { low, high } = this.#varint();
    const value = BigInt(high) * 4_294_967_296n + BigInt(low);
    return Number((value >> 1n) ^ -(value & 1n));
  }

  sint32(): number {
    const value = this.varint32();
    return (value >>> 1) ^ -(value & 1);
  }

  /** True when any of the 64 bits is set. */
  bool(): boolean {
    const { low, high } = this.#varint();
    return low !== 0 || high !== 0;
  }

  fixed32(): number {
    return this.#bytes.readUInt32LE(this.#advance(4));
  }

  sfixed32(): number {
    return this.#bytes.readInt32LE(this.#advance(4));
  }

  fixed64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#advance(8)));
  }

  sfixed64(): number {
    return Number(this.#bytes.readBigInt64LE(this.#advance(8)));
  }

  float(): number {
    return this.#bytes.readFloatLE(this.#advance(4));
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#advance(8));
  }

  /** Reads a length and checks that so many bytes are there; returns where they end. */
  length(): number {
    const { low, high } = this.#varint();
    if (high !== 0 || low > this.end - this.pos)
      throw new MalformedError(`truncated: ${high * 4_294_967_296 + low} bytes wanted, ${this.end - this.pos} left`);
    return this.pos + low;
  }

  /** A view of the input: copy it before keeping it. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start);
  }

  bytes(): Uint8Array {
    const end = this.#copied();
    const copy = new Uint8Array(this.view(this.pos, end));
    this.pos = end;
    return copy;
  }

  string(): string {
    const end = this.#copied();
    const start = this.pos;
    this.pos = end;
    if (!isUtf8(this.#bytes.subarray(start, end))) throw new MalformedError('a string that is not UTF-8');
    return this.#bytes.toString('utf8', start, end);
  }

  /** Where the string or the bytes that start here end. */
  #copied(): number {
    const end = this.length();
    const length = end - this.pos;
    if (length > MAX_STRING_BYTES)
      throw new MalformedError(`a string of ${length} bytes; at most ${MAX_STRING_BYTES} are read`);
    this.work += length / BYTES_PER_STEP;
    return end;
  }

  scalar(type: ScalarType): unknown {
    switch (type) {
      case 'string':
        return this.string();
      case 'int32':
        return this.varint32() | 0;
      case 'uint32':
        return this.varint32();
      default:
        return this[type]();
    }
  }

  /** Passes over a field that nobody knows. Groups are old, but legal. */
  skip(wireType: number, fieldNumber: number, depth: number): void {
    switch (wireType) {
      case VARINT:
        this.#varint();
        return;
      case FIXED64:
        this.#advance(8);
        return;
      case LENGTH:
        this.pos = this.length();
        return;
      case FIXED32:
        this.#advance(4);
        return;
      case START_GROUP:
        this.#skipGroup(fieldNumber, depth);
        return;
      default:
        throw new MalformedError(`wire type ${wireType} where a field should start`);
    }
  }

  #skipGroup(fieldNumber: number, depth: number): void {
    const open = [fieldNumber];
    for (let fields = 0; open.length > 0; fields++) {
      if (open.length > depth) throw new MalformedError('groups nested too deep');
      if (fields > MAX_GROUP_FIELDS) throw new MalformedError(`a group of more than ${MAX_GROUP_FIELDS} fields`);
      this.work++;
      const tag = this.tag();
      const number = tag >>> 3;
      const group = open.at(-1);
      if ((tag & 7) === START_GROUP) open.push(number);
      else if ((tag & 7) !== END_GROUP) this.skip(tag & 7, number, depth);
      else if (number === group) open.pop();
      else throw new MalformedError(`group ${group} ended as ${number}`);
    }
  }

  /** A field's number and wire type: `number << 3 | type`. */
  tag(): number {
    const { low, high } = this.#varint();
    if (high !== 0 || low >>> 3 === 0) throw new MalformedError('a field number out of range');
    return low;
  }
}
