/**
 * Header fields by lower-case name; a repeated field is an array. Always a null-prototype object, so that a field called
 * `__proto__` or `constructor` is a field like any other. Pseudo-headers (`:path`) never appear in it.
 */
export type HeaderFields = Record<string, string | string[]>;

export function headerFields(from?: Readonly<Record<string, string | readonly string[] | undefined>>): HeaderFields {
  const fields: HeaderFields = Object.create(null);
  if (from !== undefined) {
    for (const name of Object.keys(from)) {
      const value = from[name];
      if (value !== undefined) fields[name.toLowerCase()] = typeof value === 'string' ? value : [...value];
    }
  }
  return fields;
}

/** A shallow copy: the arrays are shared, so replace them, never push. */
export function copyHeaders(from: HeaderFields): HeaderFields {
  const fields: HeaderFields = Object.create(null);
  for (const name in from) fields[name] = from[name] as string | string[];
  return fields;
}

/** The value as one string, repeated fields joined with a comma (RFC 9110 section 5.3), or undefined when absent. */
export function headerValue(fields: HeaderFields, name: string): string | undefined {
  const value = fields[name];
  return value === undefined || typeof value === 'string' ? value : value.join(',');
}

/** Adds a value after those already there. */
export function appendHeader(fields: HeaderFields, name: string, value: string): void {
  const present = fields[name];
  if (present === undefined) fields[name] = value;
  else fields[name] = typeof present === 'string' ? [present, value] : [...present, value];
}

/** Fields that belong to one connection and never travel further (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a field, by its lower-case name, belongs to one connection. */
export const isHopByHop = (name: string): boolean => HOP_BY_HOP.has(name);

/** A copy without hop-by-hop fields and without those that `Connection` nominates. `te` goes too: whoever sends gRPC on sets it anew. */
export function endToEndHeaders(from: HeaderFields): HeaderFields {
  const nominated = headerValue(from, 'connection');
  const dropped =
    nominated === undefined ? undefined : new Set(nominated.split(',').map((n) => n.trim().toLowerCase()));
  const fields: HeaderFields = Object.create(null);
  for (const name in from) {
    if (HOP_BY_HOP.has(name) || dropped?.has(name)) continue;
    fields[name] = from[name] as string | string[];
  }
  return fields;
}
