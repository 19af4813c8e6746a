import type { Call } from '../../core/call.js';
import { appendHeader, type HeaderFields } from '../../core/headers.js';

/** What callers may give as headers. */
export type HeadersLike =
  | Iterable<readonly [string, string]>
  | readonly (readonly string[])[]
  | Readonly<Record<string, unknown>>;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = /[\0\r\n]|[^\0-\xff]/;
const EDGES = /^[\t\n\r ]+|[\t\n\r ]+$/g;

/** The field as it goes on the wire, or a TypeError that names it. Fetch, "normalize" a header value. */
export function addField(fields: HeaderFields, name: string, value: string): void {
  if (!TOKEN.test(name)) throw new TypeError(`"${name}" is not a valid header name`);
  let clean = value;
  if (FORBIDDEN.test(clean) || clean.trim() !== clean) {
    clean = clean.replace(EDGES, '');
    if (FORBIDDEN.test(clean)) {
      throw new TypeError(`header "${name}": the value must be a string of latin-1 characters without NUL, CR and LF`);
    }
  }
  const key = name.toLowerCase();
  const present = fields[key];
  if (present === undefined) fields[key] = clean;
  else if (key === 'set-cookie') appendHeader(fields, key, clean);
  else fields[key] = `${String(present)}${key === 'cookie' ? '; ' : ', '}${clean}`;
}

/** `init.headers` of any kind that `new Headers()` takes. */
export function readHeaders(init: HeadersLike): HeaderFields {
  const fields: HeaderFields = Object.create(null);
  if (init instanceof Headers) {
    // Valid and lower-case already.
    for (const [name, value] of init) fields[name] = value;
  } else if (typeof init !== 'object' || init === null) {
    throw new TypeError('headers must be a Headers object, an object, or a list of pairs');
  } else if (Symbol.iterator in init) {
    for (const pair of init as Iterable<readonly string[]>) {
      const [name, value, ...rest] = pair;
      if (name === undefined || value === undefined || rest.length > 0) {
        throw new TypeError('headers: each item of the list must be a pair of name and value');
      }
      addField(fields, String(name), String(value));
    }
  } else {
    for (const name of Object.keys(init)) {
      const value = (init as Record<string, unknown>)[name];
      addField(fields, name, typeof value === 'string' ? value : String(value));
    }
  }
  return fields;
}

/** A reply's fields as a Headers object, repeated ones one by one. */
export function toHeaders(fields: HeaderFields): Headers {
  const headers = new Headers();
  for (const name in fields) {
    const value = fields[name] as string | string[];
    if (typeof value === 'string') headers.append(name, value);
    else for (const item of value) headers.append(name, item);
  }
  return headers;
}

/** A Host header of the application's own is what the server is shown; the destination stays what the URL says. */
export function applyHostHeader(call: Call): void {
  const { host } = call.headers;
  if (host === undefined) return;
  call.host = String(host);
  delete call.headers.host;
}
