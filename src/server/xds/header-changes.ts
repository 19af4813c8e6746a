import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { type HeaderFields, headerFields, isHopByHop } from '../../core/headers.js';
import type { HeaderMutation } from '../../core/model/route.js';
import type { FormatEnv, FormatReply, FormatRequest } from '../../routing/format/values.js';
import { compileMutation, mutatedNames } from '../../routing/header-mutation.js';

/**
 * `request_headers_to_add`, `response_headers_to_remove` and their like, for servers that are not gRPC's: those apply what Envoy's connection
 * manager would. gRPC's ignore them, on servers as on clients (gRFCs A28 and A36 name no such field).
 */

/** What a route changes about one request's headers, or about its response's: compiled, and bound to the request. */
export interface HeaderChanges {
  /** The names that may change, each once. */
  readonly names: ReadonlySet<string>;
  /** Changes those of `fields` that have such names. `response`: whose head it is; absent for a request. */
  apply(fields: HeaderFields, response?: FormatReply): void;
}

export type BindChanges = (request: FormatRequest) => HeaderChanges;

/** Compiles what a route changes. Fields that say where a message ends or how long a connection lasts are Node's to write. Undefined: nothing. */
export function compileChanges(mutation: HeaderMutation | undefined, env: FormatEnv): BindChanges | undefined {
  const own = endToEnd(mutation);
  const mutate = compileMutation(own);
  if (own === undefined || mutate === undefined) return undefined;
  const names = mutatedNames(own);
  return (request) => ({ names, apply: (fields, response) => mutate(fields, request, response, env) });
}

/** Changes that put fields in place of those that there are. */
export const replacing = (given: HeaderFields): HeaderChanges => ({
  names: new Set(Object.keys(given)),
  apply: (fields) => void Object.assign(fields, given),
});

function endToEnd(mutation: HeaderMutation | undefined): HeaderMutation | undefined {
  if (mutation === undefined) return undefined;
  const remove = mutation.remove.filter(isEndToEnd);
  const set = mutation.set.filter(({ name }) => isEndToEnd(name));
  const next = endToEnd(mutation.next);
  return remove.length === 0 && set.length === 0 ? next : { remove, set, next };
}

const isEndToEnd = (name: string): boolean => !isHopByHop(name) && name !== 'content-length';

/** Changes the fields of a request in both forms that Node has: by name, as Node joins them, and as they came. */
export function changeFields(headers: IncomingHttpHeaders, raw: string[], changes: HeaderChanges): HeaderFields {
  const { names } = changes;
  const changed = distinct(raw, names);
  changes.apply(changed);
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, raw[i + 1] as string);
  }
  for (const name of names) {
    const values = valuesOf(changed, name);
    if (values.length === 0) delete headers[name];
    else if (name === 'set-cookie') headers[name] = values;
    else headers[name] = values.join(name === 'cookie' ? '; ' : ', ');
    for (const value of values) kept.push(name, value);
  }
  raw.splice(0, raw.length, ...kept);
  return changed;
}

/** All fields of a response, by lower-case name. */
export function allFields(headers: OutgoingHttpHeaders): HeaderFields {
  const fields = headerFields();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined)
      fields[name.toLowerCase()] = typeof value === 'number' ? String(value) : [...[value].flat()];
  }
  return fields;
}

export function valuesOf(fields: HeaderFields, name: string): string[] {
  const value = fields[name];
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : [...value];
}

/** As a response takes it: but for `set-cookie` the values in one, since some fields may come only once (RFC 9110 section 5.3). Undefined: none. */
export function written(fields: HeaderFields, name: string): string | string[] | undefined {
  const values = valuesOf(fields, name);
  if (values.length === 0) return undefined;
  return name === 'set-cookie' ? values : values.join(', ');
}

function distinct(raw: readonly string[], names: ReadonlySet<string>): HeaderFields {
  const found: Record<string, string[]> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (names.has(name)) found[name] = [...(found[name] ?? []), raw[i + 1] as string];
  }
  return headerFields(found);
}
