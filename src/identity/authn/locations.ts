import type { HeaderFields } from '../../core/headers.js';
import type { TokenLocations } from '../../core/model/authentication.js';

/** What of a request tokens are looked for in. */
export interface TokenRequest {
  readonly headers: HeaderFields;
  /** Path and query. */
  readonly path: string;
}

/** Tokens of one request that are looked at: more are a mistake, or an attempt at making us work. */
export const MAX_TOKENS = 4;

/** The tokens that stand at these places, each once. */
export function tokensAt({ headers, path }: TokenRequest, at: TokenLocations): string[] {
  const found = new Set<string>();
  for (const { name, prefix } of at.headers)
    for (const value of valuesOf(headers[name])) {
      const token = afterPrefix(value.trim(), prefix);
      if (token !== undefined) found.add(token);
    }
  if (at.params.length > 0) for (const token of params(path, at.params)) found.add(token);
  if (at.cookies.length > 0) for (const token of cookies(headers.cookie, at.cookies)) found.add(token);
  found.delete('');
  return [...found];
}

const valuesOf = (value: string | string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;

/** The scheme's name may be in any case (RFC 9110 section 11.1). Undefined: the field holds something else. */
function afterPrefix(value: string, prefix: string): string | undefined {
  if (prefix === '') return value;
  if (value.slice(0, prefix.length).toLowerCase() !== prefix.toLowerCase()) return undefined;
  return value.slice(prefix.length).trim();
}

function params(path: string, names: readonly string[]): string[] {
  const start = path.indexOf('?');
  if (start < 0) return [];
  const end = path.indexOf('#', start);
  const query = new URLSearchParams(path.slice(start + 1, end < 0 ? undefined : end));
  return names.flatMap((name) => query.getAll(name));
}

/** A path without these parameters of its query, as it came otherwise; without the query where none is left. */
export function otherParams(path: string, names: readonly string[]): string {
  const start = path.indexOf('?');
  if (start < 0) return path;
  const end = path.indexOf('#', start);
  const query = path.slice(start + 1, end < 0 ? undefined : end);
  const kept = query
    .split('&')
    .filter((pair) => ![...new URLSearchParams(pair).keys()].some((name) => names.includes(name)));
  const left = kept.join('&');
  if (left === query) return path;
  return `${path.slice(0, start)}${left === '' ? '' : `?${left}`}${end < 0 ? '' : path.slice(end)}`;
}

function cookies(field: string | string[] | undefined, names: readonly string[]): string[] {
  return pairsOf(field).flatMap((pair) => {
    if (!isOneOf(pair, names)) return [];
    const value = pair.slice(pair.indexOf('=') + 1).trim();
    return [value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value];
  });
}

/** The field `cookie` without the cookies of these names; an empty list where none is left. */
export function otherCookies(field: string | string[] | undefined, names: readonly string[]): string | string[] {
  const others = pairsOf(field).filter((pair) => pair.trim() !== '' && !isOneOf(pair, names));
  return others.length === 0 ? [] : others.map((pair) => pair.trim()).join('; ');
}

/** RFC 6265 section 4.2.1; HTTP/2 may have one field per pair. */
const pairsOf = (field: string | string[] | undefined): string[] =>
  valuesOf(field).flatMap((value) => value.split(';'));

function isOneOf(pair: string, names: readonly string[]): boolean {
  const equals = pair.indexOf('=');
  return equals >= 0 && names.includes(pair.slice(0, equals).trim());
}
