import { type HeaderFields, appendHeader } from '../core/headers.js';

/** The value of the first cookie of that name, without quotes around it; undefined when there is none. */
export function cookieValue(headers: HeaderFields, name: string): string | undefined {
  const { cookie } = headers;
  if (cookie === undefined) return undefined;
  for (const field of typeof cookie === 'string' ? [cookie] : cookie) {
    let start = 0;
    while (start < field.length) {
      let end = field.indexOf(';', start);
      if (end < 0) end = field.length;
      const equals = field.indexOf('=', start);
      if (equals >= 0 && equals < end && field.slice(start, equals).trim() === name) {
        return unquoted(field.slice(equals + 1, end).trim());
      }
      start = end + 1;
    }
  }
  return undefined;
}

const unquoted = (value: string): string =>
  value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;

export interface SetCookie {
  readonly name: string;
  readonly value: string;
  /** '' to leave it out. */
  readonly path: string;
  /** Milliseconds; 0 is a session cookie. */
  readonly ttlMs: number;
  readonly attributes?: readonly { readonly name: string; readonly value: string }[];
}

/** Adds a cookie to a reply as Envoy writes it (`Utility::makeSetCookieValue`): quoted, whole seconds, `HttpOnly`. */
export function addCookie(headers: HeaderFields, { name, value, path, ttlMs, attributes = [] }: SetCookie): void {
  let cookie = `${name}="${value}"`;
  const seconds = Math.floor(ttlMs / 1_000);
  if (seconds > 0) cookie += `; Max-Age=${seconds}`;
  if (path !== '') cookie += `; Path=${path}`;
  for (const attribute of attributes) {
    cookie += attribute.value === '' ? `; ${attribute.name}` : `; ${attribute.name}=${attribute.value}`;
  }
  appendHeader(headers, 'set-cookie', `${cookie}; HttpOnly`);
}

/** "cookie-path matches request-path" - RFC 6265 section 5.1.4. `path` is without query; '' and "/" match all. */
export function cookiePathMatches(cookiePath: string, path: string): boolean {
  if (cookiePath === '' || path === cookiePath) return true;
  if (!path.startsWith(cookiePath)) return false;
  return cookiePath.endsWith('/') || path[cookiePath.length] === '/';
}
