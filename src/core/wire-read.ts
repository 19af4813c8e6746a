import { BYTES, fields, VARINT, type WireValue } from './wire-fields.js';

/*
 * Reads the few small messages that are read without protobuf's codec: a reader for each field that is known; fields that are not are passed over, as protobuf has it.
 */

/** What a field is not as it should be. Caught by `readFields`. */
const MALFORMED = new Error('malformed');
const UINT32_MAX = 4_294_967_295;

export type FieldReaders = Readonly<Record<number, (value: WireValue) => void>>;

/** False when the bytes are no message, or a field is not what it should be. */
export function readFields(bytes: Uint8Array, readers: FieldReaders): boolean {
  try {
    return fields(bytes, (field, value) => {
      readers[field]?.(value);
      return true;
    });
  } catch (error) {
    if (error === MALFORMED) return false;
    throw error;
  }
}

/** A message within one that `readFields` reads: what is wrong with it is wrong with both. */
export function readInner(bytes: Uint8Array, readers: FieldReaders): void {
  if (!readFields(bytes, readers)) throw MALFORMED;
}

/** A repeated field. More than `max` is not meant. */
export function addItem<T>(list: T[], item: T, max: number): void {
  if (list.length >= max) throw MALFORMED;
  list.push(item);
}

/** One entry of a map field; of several with one key, the last stands. */
export function addEntry<T>(
  map: Map<string, T>,
  bytes: Uint8Array,
  none: T,
  read: (value: WireValue) => T,
  max: number,
) {
  let key = '';
  let found = none;
  readInner(bytes, {
    1: (value) => {
      key = textOf(value);
    },
    2: (value) => {
      found = read(value);
    },
  });
  if (map.size >= max && !map.has(key)) throw MALFORMED;
  map.set(key, found);
}

/** Bytes, or a message within. */
export function bytesOf(value: WireValue): Uint8Array {
  if (value.kind !== BYTES) throw MALFORMED;
  return value.bytes;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function textOf(value: WireValue): string {
  const bytes = bytesOf(value);
  try {
    return strict.decode(bytes);
  } catch {
    throw MALFORMED;
  }
}

/** A number that has a meaning here is a number that JavaScript can hold. */
export function wholeOf(value: WireValue): number {
  if (value.kind !== VARINT || !Number.isSafeInteger(value.varint)) throw MALFORMED;
  return value.varint;
}

/** What is longer on the wire loses its upper bits, as protobuf has it; a sender of such numbers means none of them. */
export function uint32Of(value: WireValue): number {
  const number = wholeOf(value);
  if (number > UINT32_MAX) throw MALFORMED;
  return number;
}

/** Says that the message will not do. */
export function malformed(): never {
  throw MALFORMED;
}
