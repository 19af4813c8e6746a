/** DER (X.690), as much of it as certificates, requests and their names are made of. Every function gives one complete value. */

const UNIVERSAL = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag, length in its shortest form (X.690 section 10.1), and the content. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(length)]), ...content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => tlv(UNIVERSAL.sequence, ...items);

/** Sorted by encoding (X.690 section 11.6). */
export const setOf = (...items: readonly Uint8Array[]): Buffer => tlv(UNIVERSAL.set, ...items.toSorted(Buffer.compare));

export const boolean = (value: boolean): Buffer => tlv(UNIVERSAL.boolean, Buffer.from([value ? 0xff : 0]));

export const nothing = (): Buffer => tlv(UNIVERSAL.null);

/** A number that is not negative; bytes: the same, most significant first. */
export function integer(value: number | Uint8Array): Buffer {
  const bytes = typeof value === 'number' ? Buffer.from(hexOf(value), 'hex') : Buffer.from(value);
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const shortest = bytes.subarray(start);
  // The first bit is the sign.
  const sign = ((shortest[0] ?? 0) & 0x80) === 0 ? [] : [0];
  return tlv(UNIVERSAL.integer, Buffer.from(shortest.length === 0 ? [0] : sign), shortest);
}

function hexOf(value: number): string {
  const hex = value.toString(16);
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}

export const enumerated = (value: number): Buffer => tlv(UNIVERSAL.enumerated, Buffer.from([value]));

/** `unusedBits`: of the last byte, not part of the string. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer =>
  tlv(UNIVERSAL.bitString, Buffer.from([unusedBits]), bytes);

/** Bits by number, as KeyUsage counts them (RFC 5280 section 4.2.1.3): without trailing zeros (X.690 section 11.2.2). */
export function namedBits(bits: readonly number[]): Buffer {
  const highest = Math.max(-1, ...bits);
  const bytes = Buffer.alloc(Math.floor(highest / 8) + 1);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(bytes, highest < 0 ? 0 : 7 - (highest & 7));
}

export const octetString = (bytes: Uint8Array): Buffer => tlv(UNIVERSAL.octetString, bytes);

/** `1.2.840.113549`. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tlv(UNIVERSAL.oid, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(arc: number): number[] {
  const digits = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | (rest % 128));
  return digits;
}

export const utf8String = (text: string): Buffer => tlv(UNIVERSAL.utf8String, Buffer.from(text, 'utf8'));
export const printableString = (text: string): Buffer => tlv(UNIVERSAL.printableString, Buffer.from(text, 'latin1'));
export const ia5String = (text: string): Buffer => tlv(UNIVERSAL.ia5String, Buffer.from(text, 'latin1'));

/** Wall-clock milliseconds; whole seconds are kept. "MUST always encode certificate validity dates through the year 2049 as UTCTime" - RFC 5280 section 4.1.2.5. */
export function time(ms: number): Buffer {
  const digits = new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(/\.000Z$|[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? tlv(UNIVERSAL.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : tlv(UNIVERSAL.generalizedTime, Buffer.from(`${digits}Z`, 'latin1'));
}

/** `[n]` around whole values. */
export const explicit = (n: number, ...items: readonly Uint8Array[]): Buffer => tlv(0xa0 | n, ...items);

/** `[n]` in place of the tag of a primitive value. */
export const implicit = (n: number, content: Uint8Array): Buffer => tlv(0x80 | n, content);
