import type { Call } from '../../core/call.js';
import { type HeaderFields, headerValue } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';

/** Statuses of replies that are worth keeping; not 206, which is a part. */
const GOOD = new Set([200, 203, 204]);
/**
 * Directives of a reply that forbid to keep it for several callers, or to use it when it is not fresh (RFC 9111 section 5.2.2; `s-maxage` "incorporates
 * the semantics of the proxy-revalidate response directive").
 */
const FORBIDDEN = ['no-store', 'private', 'no-cache', 'must-revalidate', 'proxy-revalidate', 's-maxage'];

/** Directives of `cache-control` by lower-case name; '' for one without a value. */
export function cacheControl(fields: HeaderFields): ReadonlyMap<string, string> {
  const text = headerValue(fields, 'cache-control');
  const directives = new Map<string, string>();
  if (text === undefined) return directives;
  for (const [, name = '', quoted, token] of text.matchAll(/([^\s,;=]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;]*)))?/g)) {
    directives.set(name.toLowerCase(), quoted ?? token ?? '');
  }
  return directives;
}

/** Whether a request's reply may be kept, or answered from what is kept. `range` asks for a part. */
export const mayBeKept = ({ method, headers, body }: Call): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  body === undefined &&
  headers['range'] === undefined &&
  !(headers['cache-control'] !== undefined && cacheControl(headers).has('no-store'));

/** Whether the caller takes nothing that was not asked for anew: `no-cache` (RFC 9111 section 5.2.1.4). */
export const wantsFresh = (headers: HeaderFields): boolean =>
  headers['cache-control'] !== undefined && cacheControl(headers).has('no-cache');

export interface Keeping {
  /** Names of request fields that chose this reply (`vary`), in lower case, sorted. */
  readonly vary: readonly string[];
  /** How old it may be when it is used, in milliseconds. */
  readonly maxAgeMs: number;
  /** How old it was when it came. */
  readonly ageMs: number;
}

/** Under what conditions a reply over HTTP may be kept; undefined: not at all. `maxAgeMs` is the configured one. */
export function keeping(request: HeaderFields, { status, headers }: Reply, maxAgeMs: number): Keeping | undefined {
  // A cookie is one caller's.
  if (!GOOD.has(status) || headers['set-cookie'] !== undefined) return undefined;
  const directives = cacheControl(headers);
  if (FORBIDDEN.some((name) => directives.has(name))) return undefined;
  // RFC 9111 section 3.5: of the directives that would allow it, the others forbid to use it when it is stale.
  if (request['authorization'] !== undefined && !directives.has('public')) return undefined;
  const vary = (headerValue(headers, 'vary') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
    .sort();
  if (vary.includes('*')) return undefined;
  // "indicates that when an error is encountered, a cached stale response MAY be used" for so long after it ceased to be fresh - RFC 5861 section 4.
  const grace = secondsOf(directives.get('stale-if-error'));
  const allowedMs = grace === undefined ? maxAgeMs : 1_000 * ((secondsOf(directives.get('max-age')) ?? 0) + grace);
  return {
    vary,
    maxAgeMs: Math.min(maxAgeMs, allowedMs),
    ageMs: 1_000 * (secondsOf(headerValue(headers, 'age')) ?? 0),
  };
}

const secondsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
