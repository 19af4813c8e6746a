import type { HeaderFields } from '../../core/headers.js';

/** Name, value, name, value, as bytes; a repeated field as often as it was sent. */
export function rawFields(fields: HeaderFields): Buffer[] {
  const raw: Buffer[] = [];
  for (const name in fields) {
    const value = fields[name] as string | string[];
    const field = fieldName(name);
    if (typeof value === 'string') raw.push(field, Buffer.from(value, 'latin1'));
    else for (const item of value) raw.push(field, Buffer.from(item, 'latin1'));
  }
  return raw;
}

/** Field names seen before, as bytes: the same few come with every reply. At this many, all are forgotten. */
const MAX_NAMES = 256;
const names = new Map<string, Buffer>();

function fieldName(name: string): Buffer {
  let bytes = names.get(name);
  if (bytes === undefined) {
    bytes = Buffer.from(name, 'latin1');
    if (names.size >= MAX_NAMES) names.clear();
    names.set(name, bytes);
  }
  return bytes;
}
