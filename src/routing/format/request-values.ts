import { pathOnly, pseudoHeader, queryValue } from '../request.js';
import type { FormatRequest, Value } from './values.js';

/** The first value of a field, or a pseudo-header; undefined when it is absent. */
export function firstField(request: FormatRequest, name: string): string | undefined {
  return pseudoHeader(request, name) ?? first(request.headers[name]);
}

export const first = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0];

/** `X?Y`: a field, and the one that stands in for it when it is absent. */
export function alternatives(argument: string): readonly [string, string | undefined] {
  const [name, other, ...more] = argument.split('?').map((part) => part.trim().toLowerCase());
  if (name === undefined || name === '') throw new Error('must name a header');
  if (more.length > 0) throw new Error(`must have at most one alternative, got "${argument}"`);
  return [name, other === '' ? undefined : other];
}

/** `%REQ(X?Y)%`. */
export function requestField(argument: string): Value {
  const [name, other] = alternatives(argument);
  return (request) => firstField(request, name) ?? (other === undefined ? undefined : firstField(request, other));
}

/** `%REQ_WITHOUT_QUERY(X?Y)%`. */
export function requestFieldWithoutQuery(argument: string): Value {
  const field = requestField(argument);
  return (request, reply, env) => {
    const value = field(request, reply, env);
    return value === undefined ? undefined : pathOnly(value);
  };
}

/** `%PATH(X:Y)%`: X is WQ (with query, the default) or NQ; Y is ORIG, PATH or ORIG_OR_PATH (the default). */
export function requestPath(argument: string | undefined): Value {
  const [query = '', source = ''] = (argument ?? '').split(':');
  if (!['', 'WQ', 'NQ'].includes(query)) throw new Error(`must have WQ or NQ before the colon, got "${query}"`);
  if (!['', 'ORIG', 'PATH', 'ORIG_OR_PATH'].includes(source)) {
    throw new Error(`must have ORIG, PATH or ORIG_OR_PATH after the colon, got "${source}"`);
  }
  return (request) => {
    const original = source === 'PATH' ? undefined : firstField(request, 'x-envoy-original-path');
    const path = original ?? (source === 'ORIG' ? undefined : request.path);
    return path === undefined || query !== 'NQ' ? path : pathOnly(path);
  };
}

/** `%QUERY_PARAM(X)%`, decoded. */
export function queryParameter(name: string): Value {
  return (request) => {
    const value = queryValue(request.path, name);
    return value === undefined ? undefined : decoded(value);
  };
}

/** `%QUERY_PARAMS(X)%`: the whole query as it is written (ORIG, the default), or DECODED. */
export function queryParameters(argument = 'ORIG'): Value {
  if (argument !== 'ORIG' && argument !== 'DECODED') throw new Error(`must be ORIG or DECODED, got "${argument}"`);
  return ({ path }) => {
    const question = path.indexOf('?');
    if (question < 0) return undefined;
    const query = path.slice(question + 1);
    return argument === 'ORIG' ? query : decoded(query);
  };
}

/**
 * `%REQUESTED_SERVER_NAME(X:Y)%`: X is SNI_ONLY (the default, of which nothing is known here), SNI_FIRST or HOST_FIRST; Y is ORIG, HOST or ORIG_OR_HOST
 * (the default).
 */
export function requestedServerName(argument = ''): Value {
  const [which = '', source = ''] = argument.split(':');
  if (!['', 'SNI_ONLY', 'SNI_FIRST', 'HOST_FIRST'].includes(which)) {
    throw new Error(`must have SNI_ONLY, SNI_FIRST or HOST_FIRST before the colon, got "${which}"`);
  }
  if (!['', 'ORIG', 'HOST', 'ORIG_OR_HOST'].includes(source)) {
    throw new Error(`must have ORIG, HOST or ORIG_OR_HOST after the colon, got "${source}"`);
  }
  if (which === '' || which === 'SNI_ONLY') return () => undefined;
  return (request) => {
    const original = source === 'HOST' ? undefined : firstField(request, 'x-envoy-original-host');
    return original ?? (source === 'ORIG' ? undefined : request.host);
  };
}

function decoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
