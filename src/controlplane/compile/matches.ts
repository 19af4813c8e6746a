import { claimPath } from '../../core/claims.js';
import type { Resource } from '../../core/resources.js';
import type { GrpcMatch } from '../yaml/schema/grpc-route.js';
import type { HttpMatch } from '../yaml/schema/http-route.js';
import { withoutTrailingSlash } from './precedence.js';

/** One `RouteMatch`, and how a ReplacePrefixMatch reads for it. */
export interface CompiledMatch {
  readonly match: Resource;
  /** `prefix_rewrite` that puts `replacement` in the place of the prefix; undefined for a match that has no prefix. */
  readonly prefixRewrite: ((replacement: string) => string) | undefined;
}

/**
 * The matches that stand for one HTTPRouteMatch. A PathPrefix is two of them, `/a` itself and `/a/…`: Envoy's
 * `path_separated_prefix` would say it in one, but gRPC clients refuse the whole RouteConfiguration for it (A28 knows prefix,
 * path and safe_regex only).
 */
export function httpMatches(match: HttpMatch): CompiledMatch[] {
  const conditions = {
    ...headerConditions(match.headers, match.method),
    ...queryConditions(match.queryParams),
  };
  const { type, value } = match.path;
  if (type === 'Exact') return [{ match: { path: value, ...conditions }, prefixRewrite: undefined }];
  if (type === 'RegularExpression')
    return [{ match: { safe_regex: { regex: value }, ...conditions }, prefixRewrite: undefined }];
  const prefix = withoutTrailingSlash(value);
  const below = {
    match: { prefix: `${prefix}/`, ...conditions },
    prefixRewrite: (to: string) => `${withoutTrailingSlash(to)}/`,
  };
  if (prefix === '') return [below];
  return [
    { match: { path: prefix, ...conditions }, prefixRewrite: (to: string) => withoutTrailingSlash(to) || '/' },
    below,
  ];
}

/** The match for one GRPCRouteMatch: `/package.Service/Method`, only for gRPC requests. */
export function grpcMatch({ method, headers }: GrpcMatch): CompiledMatch {
  return {
    match: { ...grpcPath(method), ...headerConditions(headers, undefined), grpc: {} },
    prefixRewrite: undefined,
  };
}

function grpcPath(method: GrpcMatch['method']): Resource {
  const service = method?.service ?? '';
  const name = method?.method ?? '';
  if (service === '' && name === '') return { prefix: '/' };
  if (method?.type === 'RegularExpression') {
    return {
      safe_regex: { regex: `/${service === '' ? '[^/]+' : `(?:${service})`}/${name === '' ? '[^/]+' : `(?:${name})`}` },
    };
  }
  // A leading dot is the fully qualified form of protobuf names; the path has none.
  const exact = service.replace(/^\./, '');
  if (exact === '') return { safe_regex: { regex: `/[^/]+/${name}` } };
  return name === '' ? { prefix: `/${exact}/` } : { path: `/${exact}/${name}` };
}

interface ValueMatch {
  readonly type: 'Exact' | 'RegularExpression';
  readonly name: string;
  readonly value: string;
}

const stringMatch = ({ type, value }: ValueMatch): Resource =>
  type === 'Exact' ? { exact: value } : { safe_regex: { regex: value } };

/** Names of claims count with their case. */
const fieldName = (name: string): string => (claimPath(name) === undefined ? name.toLowerCase() : name);

function headerConditions(headers: readonly ValueMatch[] | undefined, method: string | undefined): Resource {
  const matchers = [
    ...(method === undefined ? [] : [{ name: ':method', string_match: { exact: method } }]),
    ...firstByName(headers ?? [], fieldName).map((header) => ({
      name: fieldName(header.name),
      string_match: stringMatch(header),
    })),
  ];
  return matchers.length === 0 ? {} : { headers: matchers };
}

export function queryConditions(params: readonly ValueMatch[] | undefined): Resource {
  const matchers = firstByName(params ?? [], (name) => name).map((param) => ({
    name: param.name,
    string_match: stringMatch(param),
  }));
  return matchers.length === 0 ? {} : { query_parameters: matchers };
}

/** "If multiple entries specify equivalent names, only the first entry … MUST be considered" - HTTPHeaderMatch, HTTPQueryParamMatch. */
function firstByName(matches: readonly ValueMatch[], key: (name: string) => string): ValueMatch[] {
  const seen = new Set<string>();
  return matches.filter(({ name }) => {
    const known = seen.has(key(name));
    seen.add(key(name));
    return !known;
  });
}
