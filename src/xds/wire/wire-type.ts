import { FIXED32, FIXED64, LENGTH, VARINT } from './reader.js';
import type { FieldSchema, ScalarType } from './schema.js';

/** How values of a type are written: the low three bits of their tag. */
export function wireTypeOf(type: FieldSchema['type']): number {
  if (typeof type !== 'string') return type.kind === 'enum' ? VARINT : LENGTH;
  switch (type) {
    case 'string':
    case 'bytes':
      return LENGTH;
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return FIXED64;
    case 'float':
    case 'fixed32':
    case 'sfixed32':
      return FIXED32;
    default:
      return VARINT;
  }
}

/** What a scalar is that is not there. */
export function defaultOf(type: ScalarType): unknown {
  if (type === 'string') return '';
  if (type === 'bytes') return new Uint8Array(0);
  return type === 'bool' ? false : 0;
}
