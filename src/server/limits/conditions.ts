import { DecodeError, knownKeys, record, shown, string } from '../../core/decode.js';
import type { LimitKey } from '../../core/model/limit.js';
import type { HeaderMatch, RouteMatch } from '../../core/model/match.js';
import { array, text, whole } from './checks.js';
import { canonicalPath } from './path.js';

/** The entry of a key that `LimitKeyOptions` mean. Throws DecodeError. */
export function keyOf(value: unknown, path: string): LimitKey {
  const o = record(value, path);
  const kinds = ['header', 'query', 'remoteAddress', 'identity', 'claim', 'method', 'path', 'host'];
  knownKeys(o, path, kinds);
  const [kind, ...others] = Object.keys(o);
  if (kind === undefined || others.length > 0)
    throw new DecodeError(path, `must have one of ${kinds.join(', ')}, got ${shown(value)}`);
  const at = `${path}.${kind}`;
  switch (kind) {
    case 'header':
    case 'query': {
      const name = text(o[kind], at);
      return kind === 'header' ? { kind, name: name.toLowerCase(), as: name.toLowerCase() } : { kind, name, as: name };
    }
    case 'claim': {
      const parts = array(typeof o[kind] === 'string' ? [o[kind]] : o[kind], at).map((part, i) =>
        text(part, `${at}[${i}]`),
      );
      if (parts.length === 0) throw new DecodeError(at, 'must name a claim');
      return { kind, path: parts, as: parts.join('.') };
    }
    case 'remoteAddress': {
      if (o[kind] === true) return { kind: 'remote_address', as: 'remote_address' };
      const bits = record(o[kind], at);
      knownKeys(bits, at, ['v4Bits', 'v6Bits']);
      return {
        kind: 'remote_address',
        as: 'remote_address',
        v4Bits: bits['v4Bits'] === undefined ? undefined : whole(bits['v4Bits'], `${at}.v4Bits`, 0, 32),
        v6Bits: bits['v6Bits'] === undefined ? undefined : whole(bits['v6Bits'], `${at}.v6Bits`, 0, 128),
      };
    }
    default: {
      if (o[kind] !== true) throw new DecodeError(at, `must be true, got ${shown(o[kind])}`);
      return { kind: kind as 'identity' | 'method' | 'path' | 'host', as: kind };
    }
  }
}

/** Which requests a rule is about. Throws DecodeError. */
export function when(o: Record<string, unknown>, path: string): RouteMatch {
  knownKeys(o, path, ['pathPrefix', 'path', 'method', 'headers']);
  if (o['path'] !== undefined && o['pathPrefix'] !== undefined)
    throw new DecodeError(`${path}.path`, 'does not go with pathPrefix: give one of them');
  const headers: HeaderMatch[] = Object.entries(record(o['headers'] ?? {}, `${path}.headers`)).map(([name, value]) =>
    header(name, value === true ? undefined : string(value, `${path}.headers.${name}`)),
  );
  if (o['method'] !== undefined) headers.push(header(':method', text(o['method'], `${path}.method`)));
  return {
    path:
      o['path'] !== undefined
        ? { kind: 'exact', value: rooted(o['path'], `${path}.path`), ignoreCase: false }
        : o['pathPrefix'] !== undefined
          ? segments(rooted(o['pathPrefix'], `${path}.pathPrefix`))
          : { kind: 'prefix', value: '', ignoreCase: false },
    headers,
    query: [],
    fraction: 1,
    grpcOnly: false,
  };
}

const segments = (prefix: string): RouteMatch['path'] => {
  const value = prefix.replace(/\/+$/, '');
  return value === ''
    ? { kind: 'prefix', value: '/', ignoreCase: false }
    : { kind: 'segments', value, ignoreCase: false };
};

/** `value` undefined: any. */
const header = (name: string, value: string | undefined): HeaderMatch => ({
  name: name.toLowerCase(),
  match: value === undefined ? { kind: 'present', present: true } : { kind: 'exact', value, ignoreCase: false },
  invert: false,
  treatMissingAsEmpty: false,
});

/** As the paths of requests are written that are held against it. */
function rooted(value: unknown, path: string): string {
  if (!string(value, path).startsWith('/')) throw new DecodeError(path, `must begin with /, got ${shown(value)}`);
  return canonicalPath(value as string);
}
