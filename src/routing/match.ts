import type { QueryMatch, RouteMatch } from '../core/model/match.js';
import type { Random } from '../core/random.js';
import { type Predicate, pathOnly, queryValue, type Source } from './request.js';
import { headerTest } from './match/headers.js';
import { matchesAllPaths, pathTest } from './match/path.js';
import { compileSource } from './match/source.js';
import { stringTest } from './match/strings.js';

/** What matching needs from outside. */
export interface MatchEnv {
  /** For runtime fractions. */
  readonly random: Random;
  /** Who makes all the requests, when that is known beforehand: this process, in a client. */
  readonly source?: Source | undefined;
}

/** Compiles a match into one function; undefined when every request matches. */
export function compileMatch(match: RouteMatch, env: MatchEnv): Predicate | undefined {
  const conditions = compileConditions(match, env);
  if (matchesAllPaths(match.path)) return conditions;
  const test = pathTest(match.path);
  if (conditions === undefined) return (request) => test(pathOnly(request.path));
  return (request) => test(pathOnly(request.path)) && conditions(request);
}

/** All of a match but its path; undefined when every request satisfies it, `never` when none does. */
export function compileConditions(match: RouteMatch, env: MatchEnv): Predicate | undefined {
  const tests: Predicate[] = [];
  if (match.source !== undefined) {
    const source = compileSource(match.source, env.source);
    if (source === false) return never;
    if (source !== true) tests.push(source);
  }
  if (match.grpcOnly) tests.push((request) => request.protocol === 'grpc');
  for (const header of match.headers) tests.push(headerTest(header));
  for (const query of match.query) tests.push(queryTest(query));
  const { fraction } = match;
  // Last: chance is asked only when all else matches.
  if (fraction < 1) tests.push(() => env.random.next() < fraction);
  const [first, second] = tests;
  if (first === undefined) return undefined;
  if (second === undefined) return first;
  return tests.length === 2
    ? (request) => first(request) && second(request)
    : (request) => tests.every((test) => test(request));
}

/** Matches no request. */
export const never: Predicate = () => false;

function queryTest({ name, match }: QueryMatch): Predicate {
  if (match.kind === 'present') {
    const { present } = match;
    return (request) => hasQuery(request.protocol) && (queryValue(request.path, name) !== undefined) === present;
  }
  const test = stringTest(match);
  return (request) => {
    if (!hasQuery(request.protocol)) return false;
    // "Only the first value ... is considered" - Gateway API HTTPQueryParamMatch; Envoy does the same.
    const value = queryValue(request.path, name);
    return value !== undefined && test(value);
  };
}

/** "a route with query_parameters is ignored" - gRFC A28: a gRPC path has no query, not even an empty one to be absent from. */
const hasQuery = (protocol: 'http' | 'grpc'): boolean => protocol !== 'grpc';
