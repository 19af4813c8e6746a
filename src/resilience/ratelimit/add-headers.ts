import { appendHeader, copyHeaders, type HeaderFields } from '../../core/headers.js';

const X_FIELDS = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'] as const;

/**
 * Adds what limits say to a reply, which may come from behind another limit: `RateLimit` and its policies are lists, and get longer; of `x-ratelimit-*` those
 * stay that leave less; anything else takes the place of what was there.
 */
export function addLimitHeaders(to: HeaderFields, headers: HeaderFields): void {
  const ours = left(headers);
  const theirs = left(to);
  const keep = ours !== undefined && theirs !== undefined && theirs < ours;
  for (const name in headers) {
    if (keep && X_FIELDS.some((field) => field === name)) continue;
    const value = headers[name] as string | string[];
    if (name === 'ratelimit' || name === 'ratelimit-policy') {
      for (const one of typeof value === 'string' ? [value] : value) appendHeader(to, name, one);
    } else to[name] = value;
  }
}

function left(headers: HeaderFields): number | undefined {
  const value = headers['x-ratelimit-remaining'];
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Those of `b` in place of those of `a`. */
export function mergedHeaders(a: HeaderFields | undefined, b: HeaderFields | undefined): HeaderFields | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Object.assign(copyHeaders(a), b);
}
