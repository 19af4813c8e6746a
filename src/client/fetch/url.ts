import type { Scheme } from '../../core/call.js';

/** Where a request goes, as fetch sees it. */
export interface HttpUrl {
  readonly scheme: Scheme;
  /** Host, and port unless it is the scheme's own. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** The whole, without fragment: `Response.url`. */
  readonly href: string;
}

/** Origins seen lately: a service calls few. At this many, all are forgotten. */
const MAX_ORIGINS = 256;
const origins = new Map<string, HttpUrl | undefined>();

/**
 * Parses an absolute URL as `new URL` does. A path of plain characters needs no normalisation, so only the origin is parsed, once.
 * Undefined for a scheme other than http and https; throws a TypeError for what is no URL.
 */
export function parseUrl(text: string): HttpUrl | undefined {
  const end = plainOriginEnd(text);
  if (end === -1) return fromUrl(new URL(text));
  const origin = text.slice(0, end);
  let known = origins.get(origin);
  if (known === undefined) {
    const url = new URL(origin);
    known = fromUrl(url);
    // Written in another way than it is serialised (upper case, a default port): not worth a place.
    if (known === undefined || `${url.protocol}//${url.host}` !== origin) return fromUrl(new URL(text));
    if (origins.size >= MAX_ORIGINS) origins.clear();
    origins.set(origin, known);
  }
  if (end === text.length) return known;
  return { scheme: known.scheme, authority: known.authority, path: text.slice(end), href: text };
}

export function fromUrl(url: URL): HttpUrl | undefined {
  const { protocol } = url;
  if (protocol !== 'http:' && protocol !== 'https:') return undefined;
  if (url.username !== '' || url.password !== '') {
    throw new TypeError(
      `fetch takes no URL with credentials in it: ${url.origin}/... Send an authorization header instead`,
    );
  }
  const { href } = url;
  const fragment = href.indexOf('#');
  return {
    scheme: protocol === 'http:' ? 'http' : 'https',
    authority: url.host,
    path: url.pathname + url.search,
    href: fragment === -1 ? href : href.slice(0, fragment),
  };
}

const SLASH = 47;
const QUESTION = 63;
const DOT = 46;
/** Characters that stay as they are in a path and in a query: letters, digits and `-._~!$&()*+,;=:@/`. */
const PLAIN = new Uint8Array(128);
for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&()*+,;=:@/') {
  PLAIN[char.charCodeAt(0)] = 1;
}

/**
 * Where the path starts in a URL whose path and query are plain: no escapes (`%2e` is a dot), no dot segments, nothing that is
 * escaped or removed by parsing. -1: leave it to `new URL`.
 */
function plainOriginEnd(text: string): number {
  if (!text.startsWith('http://') && !text.startsWith('https://')) return -1;
  const start = text.indexOf('/', 4) + 2;
  const length = text.length;
  let at = start;
  for (; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === SLASH) break;
    // `@` ends credentials, the rest ends the authority or is removed.
    if (code >= 128 || PLAIN[code] === 0 || code === 64) return -1;
  }
  if (at === start) return -1;
  const end = at;
  let query = false;
  for (; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 128) return -1;
    if (code === QUESTION) query = true;
    else if (code === 37) {
      if (!query) return -1;
    } else if (PLAIN[code] === 0) return -1;
    else if (code === DOT && !query && text.charCodeAt(at - 1) === SLASH) return -1;
  }
  // An empty query is a part of the URL, but not of the request.
  return text.charCodeAt(length - 1) === QUESTION ? -1 : end;
}
