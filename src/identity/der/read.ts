/** Bytes that are no DER, or not what they must be. Its message names what was read. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** Tags of values that are read by name (X.690 section 8; the constructed bit included). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[n]` around whole values. */
export const explicitTag = (n: number): number => 0xa0 | n;
/** `[n]` in place of a primitive value's tag. */
export const implicitTag = (n: number): number => 0x80 | n;

export interface Value {
  readonly tag: number;
  readonly content: Buffer;
  /** Tag and length as well: what a signature is over. */
  readonly whole: Buffer;
}

/**
 * Reads values one after the other. It never reads outside of its bytes, does not recurse, and takes DER only: definite lengths in their shortest form
 * (X.690 section 10.1), tags below 31. `what` names the thing for messages.
 */
export class DerReader {
  #at = 0;

  constructor(
    readonly bytes: Buffer,
    readonly what: string,
  ) {}

  get empty(): boolean {
    return this.#at >= this.bytes.length;
  }

  /** The tag of what comes next; undefined at the end. */
  get nextTag(): number | undefined {
    return this.bytes[this.#at];
  }

  /** The next value, whatever it is. */
  any(): Value {
    const start = this.#at;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw this.error('has a tag of more than one byte');
    const length = this.#length();
    const from = this.#at;
    if (length > this.bytes.length - from) throw this.error('ends in the middle of a value');
    this.#at = from + length;
    return { tag, content: this.bytes.subarray(from, this.#at), whole: this.bytes.subarray(start, this.#at) };
  }

  value(tag: number): Value {
    if (this.nextTag !== tag) throw this.error(`has ${shownTag(this.nextTag)} where ${shownTag(tag)} must be`);
    return this.any();
  }

  optional(tag: number): Value | undefined {
    return this.nextTag === tag ? this.any() : undefined;
  }

  /** Goes into a constructed value. */
  enter(tag: number, what = this.what): DerReader {
    return new DerReader(this.value(tag).content, what);
  }

  enterOptional(tag: number, what = this.what): DerReader | undefined {
    return this.nextTag === tag ? this.enter(tag, what) : undefined;
  }

  oid(): string {
    return readOid(this.value(TAG.oid).content, this.what);
  }

  /** Its bytes, most significant first, without the zero that stands for a sign. */
  integer(): Buffer {
    const { content } = this.value(TAG.integer);
    if (content.length === 0) throw this.error('has an integer without bytes');
    if (((content[0] as number) & 0x80) !== 0) throw this.error('has a negative integer');
    return content[0] === 0 && content.length > 1 ? content.subarray(1) : content;
  }

  /** One that a number can hold. */
  smallInteger(): number {
    const bytes = this.integer();
    if (bytes.length > 6) throw this.error('has an integer that is too large');
    return bytes.readUIntBE(0, bytes.length);
  }

  /** DEFAULT FALSE: absent where it is not there. */
  optionalBoolean(): boolean {
    const value = this.optional(TAG.boolean);
    if (value === undefined) return false;
    if (value.content.length !== 1) throw this.error('has a boolean that is none');
    return value.content[0] !== 0;
  }

  /** Whole bytes only, as keys and signatures are. */
  bitString(): Buffer {
    const { content } = this.value(TAG.bitString);
    if (content[0] !== 0) throw this.error('has a bit string that does not end with a byte');
    return content.subarray(1);
  }

  /** Wall-clock milliseconds. */
  time(): number {
    const value = this.any();
    const digits = value.content.toString('latin1');
    const ms =
      value.tag === TAG.utcTime ? utcTime(digits) : value.tag === TAG.generalizedTime ? generalizedTime(digits) : NaN;
    if (Number.isNaN(ms)) throw this.error('has a time that is none');
    return ms;
  }

  end(): void {
    if (!this.empty) throw this.error('has bytes after its end');
  }

  error(problem: string): DerError {
    return new DerError(`${this.what} ${problem}`);
  }

  #byte(): number {
    const byte = this.bytes[this.#at];
    if (byte === undefined) throw this.error('ends in the middle of a value');
    this.#at++;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    // 0x80 is the indefinite form, which DER does not have; four bytes are 4 GiB.
    if (count === 0 || count > 4) throw this.error('has a length that DER does not have');
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.error('has a length that is not in its shortest form');
    return length;
  }
}

/** All of `bytes` as one value of that tag, to be read on inside. */
export function readWhole(bytes: Buffer, tag: number, what: string): DerReader {
  const outer = new DerReader(bytes, what);
  const inner = outer.enter(tag);
  outer.end();
  return inner;
}

/** Dotted. */
export function readOid(content: Buffer, what: string): string {
  const arcs: number[] = [];
  let arc = 0;
  let open = true;
  for (const byte of content) {
    // No arc in use has more than 2^28; larger ones lose nothing but exactness.
    if (arc > Number.MAX_SAFE_INTEGER / 256) throw new DerError(`${what} has an object identifier that is too large`);
    arc = arc * 128 + (byte & 0x7f);
    open = (byte & 0x80) !== 0;
    if (open) continue;
    if (arcs.length === 0) arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2));
    else arcs.push(arc);
    arc = 0;
  }
  if (open) throw new DerError(`${what} has an object identifier that does not end`);
  return arcs.join('.');
}

/** "UTCTime ... MUST include seconds"; two digits of the year stand for 1950 to 2049 (RFC 5280 section 4.1.2.5.1). */
function utcTime(text: string): number {
  if (!/^\d{12}Z$/.test(text)) return Number.NaN;
  return generalizedTime(`${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`);
}

/** "MUST NOT include fractional seconds" - RFC 5280 section 4.1.2.5.2. */
function generalizedTime(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const shownTag = (tag: number | undefined): string =>
  tag === undefined ? 'nothing' : `tag 0x${tag.toString(16).padStart(2, '0')}`;
