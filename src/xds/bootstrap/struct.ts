import { DecodeError, shown } from '../../core/decode.js';
import type { Resource } from '../../core/resources.js';

/** Deeper JSON is refused; the wire allows 100 messages inside each other, and a JSON level takes two. */
const MAX_DEPTH = 32;

/** A JSON object as `google.protobuf.Struct`. Where it was made in code, what is undefined is not there, as in JSON. */
export function structOf(json: Readonly<Record<string, unknown>>, path: string, depth = 0): Resource {
  const fields: Record<string, unknown> = Object.create(null);
  for (const [key, value] of Object.entries(json)) {
    if (value !== undefined) fields[key] = jsonValue(value, `${path}.${key}`, depth + 1);
  }
  return { fields };
}

function jsonValue(json: unknown, path: string, depth: number): Resource {
  if (depth > MAX_DEPTH) throw new DecodeError(path, `nested more than ${MAX_DEPTH} deep`);
  if (json === null) return { null_value: 'NULL_VALUE' };
  if (typeof json === 'string') return { string_value: json };
  if (typeof json === 'number') return { number_value: json };
  if (typeof json === 'boolean') return { bool_value: json };
  if (Array.isArray(json)) {
    return { list_value: { values: json.map((value, i) => jsonValue(value, `${path}[${i}]`, depth + 1)) } };
  }
  if (typeof json === 'object') return { struct_value: structOf(json as Record<string, unknown>, path, depth) };
  throw new DecodeError(path, `must be JSON, got ${shown(json)}`);
}
