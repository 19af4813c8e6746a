/**
 * Writes protobuf's wire format from its end to its start: the length that comes before a nested message is known once the message
 * is written, so nothing is measured first and nothing is copied after. Callers write fields, elements and tags in reverse.
 */
export class WireWriter {
  #bytes: Buffer;
  /** The first byte written so far; what lies before it is free. */
  #start: number;

  constructor(capacity = 1_024) {
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#start = capacity;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#start;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.subarray(this.#start));
  }

  /** Makes room for `count` bytes before what is written; returns where they go. */
  #room(count: number): number {
    if (count > this.#start) {
      const used = this.length;
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, used + count));
      this.#bytes.copy(larger, larger.length - used, this.#start);
      this.#start = larger.length - used;
      this.#bytes = larger;
    }
    this.#start -= count;
    return this.#start;
  }

  varint32(value: number): void {
    if (value < 0x80) {
      const at = this.#room(1);
      this.#bytes[at] = value;
      return;
    }
    let count = 2;
    for (let rest = value >>> 14; rest !== 0; rest >>>= 7) count++;
    let at = this.#room(count);
    let rest = value;
    for (; count > 1; count--) {
      this.#bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[at] = rest;
  }

  /** Any whole number from -2^63 to 2^64 - 1; negative ones as two's complement, ten bytes long. */
  varint64(value: number | bigint): void {
    if (value >= 0 && value <= 0xffff_ffff) {
      this.varint32(Number(value));
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    const septets: number[] = [];
    for (; rest > 0x7fn; rest >>= 7n) septets.push(Number(rest & 0x7fn) | 0x80);
    septets.push(Number(rest));
    const at = this.#room(septets.length);
    this.#bytes.set(septets, at);
  }

  fixed32(value: number): void {
    const at = this.#room(4);
    this.#bytes.writeUInt32LE(value >>> 0, at);
  }

  fixed64(value: number | bigint): void {
    const at = this.#room(8);
    this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
  }

  float(value: number): void {
    const at = this.#room(4);
    this.#bytes.writeFloatLE(value, at);
  }

  double(value: number): void {
    const at = this.#room(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  /** The bytes alone, without their length. */
  raw(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.#bytes.set(value, at);
  }

  /** The text alone, without its length; a lone surrogate becomes U+FFFD, so that what is written is always UTF-8. */
  text(value: string): void {
    const count = Buffer.byteLength(value);
    const at = this.#room(count);
    this.#bytes.write(value, at, count);
  }
}
