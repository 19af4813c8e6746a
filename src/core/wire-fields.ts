/*
 * Protobuf's wire format, for the few small messages that are read without its codec.
 */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const FIXED32 = 5;

export type WireValue =
  | { readonly kind: typeof VARINT; readonly varint: number }
  | { readonly kind: typeof FIXED64; readonly double: number }
  | { readonly kind: typeof BYTES; readonly bytes: Uint8Array }
  | { readonly kind: typeof FIXED32 };

/** Visits each field. False when the bytes are no message, or the visitor does not want to go on. */
export function fields(bytes: Uint8Array, visit: (field: number, value: WireValue) => boolean): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  /** -1: there is none. */
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const kind = tag % 8;
    const field = Math.floor(tag / 8);
    if (tag < 8 || field > 0x1fffffff) return false;
    let value: WireValue;
    if (kind === VARINT) {
      const number = varint();
      if (number < 0) return false;
      value = { kind, varint: number };
    } else if (kind === FIXED64) {
      if (at + 8 > bytes.byteLength) return false;
      value = { kind, double: view.getFloat64(at, true) };
      at += 8;
    } else if (kind === BYTES) {
      const length = varint();
      if (length < 0 || at + length > bytes.byteLength) return false;
      value = { kind, bytes: bytes.subarray(at, at + length) };
      at += length;
    } else if (kind === FIXED32) {
      if (at + 4 > bytes.byteLength) return false;
      value = { kind };
      at += 4;
    } else return false;
    if (!visit(field, value)) return false;
  }
  return true;
}
