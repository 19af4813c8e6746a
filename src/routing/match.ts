import type { Call } from '../core/call.js';
import { headerValue } from '../core/headers.js';
import type { HeaderMatch, PathMatch, QueryMatch, RouteMatch, StringMatch } from '../core/model/match.js';
import type { Random } from '../core/random.js';

/** What of a request a match looks at: of one that leaves, or of one that came in. */
export type RequestView = Pick<Call, 'method' | 'path' | 'host' | 'scheme' | 'protocol' | 'headers'>;

export type Predicate = (request: RequestView) => boolean;

/** Compiles a match into one function; undefined when every call matches. */
export function compileMatch(match: RouteMatch, random: Random): Predicate | undefined {
  const tests: Predicate[] = [];
  if (!matchesAll(match.path)) {
    const test = pathTest(match.path);
    tests.push((call) => test(pathOnly(call.path)));
  }
  for (const header of match.headers) tests.push(headerTest(header));
  if (match.query.length > 0) tests.push(queryTest(match.query));
  if (match.grpcOnly) tests.push((call) => call.protocol === 'grpc');
  if (match.fraction < 1) tests.push(() => random.next() < match.fraction);
  if (tests.length === 0) return undefined;
  if (tests.length === 1) return tests[0];
  return (call) => tests.every((test) => test(call));
}

const matchesAll = (path: PathMatch): boolean =>
  (path.kind === 'prefix' || path.kind === 'segments') && (path.value === '/' || path.value === '');

/** The path without its query: "The query string is not taken into account" - Envoy RouteMatch. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

function pathTest(match: PathMatch): (path: string) => boolean {
  if (match.kind === 'regex') return (path) => match.regex.matches(path);
  const value = match.ignoreCase ? match.value.toLowerCase() : match.value;
  const folded = (path: string): string => (match.ignoreCase ? path.toLowerCase() : path);
  switch (match.kind) {
    case 'exact':
      return (path) => folded(path) === value;
    case 'prefix':
      return (path) => folded(path).startsWith(value);
    case 'segments': {
      // "/foo matches /foo and /foo/bar, not /foobar"; a trailing slash is not significant (Gateway API PathPrefix).
      const bare = value.endsWith('/') ? value.slice(0, -1) : value;
      const below = `${bare}/`;
      return (path) => {
        const text = folded(path);
        return text === bare || text.startsWith(below);
      };
    }
  }
}

function stringTest(match: StringMatch): (text: string) => boolean {
  if (match.kind === 'regex') return (text) => match.regex.matches(text);
  const value = match.ignoreCase ? match.value.toLowerCase() : match.value;
  const folded = match.ignoreCase ? (text: string): string => text.toLowerCase() : (text: string): string => text;
  switch (match.kind) {
    case 'exact':
      return (text) => folded(text) === value;
    case 'prefix':
      return (text) => folded(text).startsWith(value);
    case 'suffix':
      return (text) => folded(text).endsWith(value);
    case 'contains':
      return (text) => folded(text).includes(value);
  }
}

/** What a header matcher sees: pseudo-headers by name, repeated fields joined, gRPC's binary ones not at all (gRFC A28). */
function visible(call: RequestView, name: string): string | undefined {
  switch (name) {
    case ':method':
      return call.method;
    case ':path':
      return call.path;
    case ':authority':
    case 'host':
      return call.host;
    case ':scheme':
      return call.scheme;
    case 'content-type':
      if (call.protocol === 'grpc') return 'application/grpc';
      break;
  }
  if (call.protocol === 'grpc' && name.endsWith('-bin')) return undefined;
  return headerValue(call.headers, name);
}

function headerTest({ name, match, invert, treatMissingAsEmpty }: HeaderMatch): Predicate {
  if (match.kind === 'present') {
    // "present_match: false" asks for absence; "invert_match" turns either round (gRFC A28).
    const wanted = match.present !== invert;
    return (call) => (visible(call, name) !== undefined) === wanted;
  }
  const test = match.kind === 'range' ? rangeTest(match.start, match.end) : stringTest(match);
  return (call) => {
    const value = visible(call, name) ?? (treatMissingAsEmpty ? '' : undefined);
    // An absent header matches no value, and no inverted one either (gRFC A41; Envoy, Go, C-core).
    return value !== undefined && test(value) !== invert;
  };
}

/** "a base 10 integer ... with an optional plus or minus sign" - Envoy HeaderMatcher.range_match. */
function rangeTest(start: number, end: number): (text: string) => boolean {
  return (text) => {
    if (!/^[+-]?\d+$/.test(text)) return false;
    const value = Number(text);
    return value >= start && value < end;
  };
}

function queryTest(matches: readonly QueryMatch[]): Predicate {
  const tests = matches.map(({ name, match }) => {
    if (match.kind === 'present') return (query: URLSearchParams) => query.has(name) === match.present;
    const test = stringTest(match);
    return (query: URLSearchParams) => {
      // "Only the first value ... is considered" - Gateway API HTTPQueryParamMatch; Envoy does the same.
      const value = query.get(name);
      return value !== null && test(value);
    };
  });
  return (call) => {
    // "a route with query_parameters is ignored" - gRFC A28: a gRPC path has no query, not even an empty one to be absent from.
    if (call.protocol === 'grpc') return false;
    const at = call.path.indexOf('?');
    const query = new URLSearchParams(at < 0 ? '' : call.path.slice(at + 1));
    return tests.every((test) => test(query));
  };
}
