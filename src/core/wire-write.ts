import { BYTES, FIXED64, VARINT } from './wire-fields.js';

/*
 * Protobuf's wire format, for the few small messages that are written without its codec. Each function makes one field.
 */

/** A whole number from 0 to 2^53. 0 is what a reader takes for a field that is not there: it is left out. */
export const wholeField = (field: number, value: number): Uint8Array =>
  value === 0 ? NOTHING : Uint8Array.of(...varint(field * 8 + VARINT), ...varint(value));

export function doubleField(field: number, value: number): Uint8Array {
  const tag = varint(field * 8 + FIXED64);
  const out = Buffer.allocUnsafe(tag.length + 8);
  out.set(tag);
  out.writeDoubleLE(value, tag.length);
  return out;
}

/** Bytes, or a message. Written also when it is empty: a message that is there is not one that is not. */
export const bytesField = (field: number, value: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(...varint(field * 8 + BYTES), ...varint(value.byteLength)), value]);

/** A text; an empty one is left out. */
export const textField = (field: number, value: string): Uint8Array =>
  value === '' ? NOTHING : bytesField(field, Buffer.from(value, 'utf8'));

const NOTHING = new Uint8Array(0);

function varint(value: number): number[] {
  const out: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) out.push((left % 128) + 128);
  out.push(left);
  return out;
}
