import { createHash } from 'node:crypto';
import { headerValue } from '../../core/headers.js';
import type { LimitRequest } from '../../core/limits.js';
import type { LimitKey } from '../../core/model/limit.js';
import { maskedAddress } from './address.js';
import type { LimitEnv } from './env.js';

/** A value per entry of a rule's key; undefined for one that is skipped. */
export type KeyValues = readonly (string | undefined)[];

type Reader = (request: LimitRequest) => string | undefined;

/** Longer ones are counted under their hash: what a caller writes in a header is not kept by the kilobyte. */
const LONGEST_KEY = 256;

const NO_VALUES: KeyValues = [];

/** Reads a rule's key from requests. Undefined: the rule does not count the request. */
export function keyReader(
  key: readonly LimitKey[],
  env: Pick<LimitEnv, 'matching' | 'service'>,
): (request: LimitRequest) => KeyValues | undefined {
  if (key.length === 0) return () => NO_VALUES;
  const entries = key.map((entry) => ({ read: reader(entry, env), absent: entry.absent ?? 'empty' }));
  return (request) => {
    const values: (string | undefined)[] = [];
    for (const { read, absent } of entries) {
      const value = read(request);
      if (value === undefined && absent === 'skip-rule') return undefined;
      values.push(value === undefined && absent === 'empty' ? '' : value);
    }
    // A descriptor without entries is none (Envoy, ratelimit.cc).
    return values.every((value) => value === undefined) ? undefined : values;
  };
}

/**
 * The name of a count: each part with its length before it, so that no value can make one rule's key another's, or two values one. A skipped entry is `-`.
 */
export function countName(prefix: string, values: KeyValues): string {
  let name = '';
  for (const value of values) name += value === undefined ? '-' : `${value.length}:${value}`;
  // A hash begins as no length does.
  if (name.length > LONGEST_KEY) name = `#${createHash('sha256').update(name).digest('base64')}`;
  return prefix + name;
}

/** What the names of all counts of a rule begin with. */
export const countPrefix = (rule: string): string => `${rule.length}:${rule}`;

function reader(key: LimitKey, env: Pick<LimitEnv, 'matching' | 'service'>): Reader {
  switch (key.kind) {
    case 'header': {
      const name = key.name.toLowerCase();
      return PSEUDO_HEADERS.get(name) ?? ((request) => headerValue(request.headers, name));
    }
    case 'query':
      // A gRPC path has none (gRFC A28).
      return ({ protocol, path }) => (protocol === 'grpc' ? undefined : env.matching.queryValue(path, key.name));
    case 'remote_address': {
      const { v4Bits, v6Bits } = key;
      if (v4Bits === undefined && v6Bits === undefined)
        return ({ remote }) => (remote === undefined ? undefined : (maskedAddress(remote, 32, 128) ?? remote));
      return ({ remote }) => (remote === undefined ? undefined : (addressRange(remote, v4Bits, v6Bits) ?? remote));
    }
    case 'identity':
      return (request) => request.principal;
    case 'claim':
      return ({ claims }) => claimText(claims, key.path);
    case 'route':
      return (request) => request.route;
    case 'method':
      return (request) => request.method;
    case 'path':
      return ({ path }) => bare(path);
    case 'host':
      return (request) => request.host.toLowerCase();
    case 'destination':
      return (request) => request.destination;
    case 'source':
      return () => env.service;
    case 'generic':
      return () => key.value;
    case 'match': {
      const { headers, query, value, expect } = key;
      const anyPath = { kind: 'prefix', value: '', ignoreCase: false } as const;
      const matches = env.matching.any([{ path: anyPath, headers, query, fraction: 1, grpcOnly: false }]);
      return (request) => (matches(request) === expect ? value : undefined);
    }
  }
}

/** As rate limit services know them from Envoy: `10.1.0.0/16`, `2001:db8::/32`. */
function addressRange(remote: string, v4Bits = 32, v6Bits = 128): string | undefined {
  const address = maskedAddress(remote, v4Bits, v6Bits);
  return address === undefined ? undefined : `${address}/${address.includes(':') ? v6Bits : v4Bits}`;
}

/** What Envoy's actions may name as a header; `:path` has its query there. */
const PSEUDO_HEADERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [':path', ({ path }) => path],
  [':method', ({ method }) => method],
  [':authority', ({ host }) => host],
  [':scheme', ({ scheme }) => scheme],
]);

/** A path without query and fragment. */
function bare(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** A claim as text; what is neither text, number nor truth value is its JSON. */
function claimText(claims: LimitRequest['claims'], path: readonly string[]): string | undefined {
  let value: unknown = claims;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? undefined : JSON.stringify(value);
}
