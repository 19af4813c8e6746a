import { DecodeError, shown, string } from '../../core/decode.js';

export type Json = Readonly<Record<string, unknown>>;

/** Path of a field: `node.locality`, or `node` at the root. */
export const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** Undefined when it is not set. */
export function optionalString(from: Json, name: string, path: string): string | undefined {
  const value = from[name];
  return value === undefined ? undefined : string(value, at(path, name));
}

export function list(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new DecodeError(path, `must be a list, got ${shown(value)}`);
  return value;
}

/** Undefined when it is not set. A file of no name is nobody's wish. */
export function optionalFile(from: Json, name: string, path: string): string | undefined {
  const file = optionalString(from, name, path);
  if (file === '') throw new DecodeError(at(path, name), 'must be the path of a file, got ""');
  return file;
}

/** Largest `google.protobuf.Duration`, in seconds: 10,000 years. */
const MAX_DURATION_S = 315_576_000_000;

/** A `google.protobuf.Duration` in its JSON form, "1.5s", that is not negative; in milliseconds. Undefined when it is not set. */
export function optionalDuration(from: Json, name: string, path: string): number | undefined {
  const text = from[name];
  if (text === undefined) return undefined;
  const seconds =
    typeof text === 'string' && /^\d{1,12}(\.\d{1,9})?s$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  if (!(seconds <= MAX_DURATION_S))
    throw new DecodeError(at(path, name), `must be a duration such as "600s", got ${shown(text)}`);
  return seconds * 1_000;
}
