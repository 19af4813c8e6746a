import type { LimitRequest } from '../core/limits.js';
import type { RouteMatch } from '../core/model/match.js';
import { compileMatch, type MatchEnv } from './match.js';
import { queryValue, type RequestView } from './request.js';

/** What limits ask of requests, by the rules of routes (`LimitMatching` of resilience/ratelimit). `env.source`: who makes all of them, in a client. */
export function limitMatching(env: MatchEnv) {
  return {
    any(matches: readonly RouteMatch[]): (request: LimitRequest) => boolean {
      const tests = matches.map((match) => compileMatch(match, env));
      const asksWho = env.source === undefined && matches.some(({ source }) => source !== undefined);
      return (request) => {
        const view: RequestView = asksWho
          ? { ...seen(request), source: { labels: {}, principal: request.principal } }
          : request;
        return tests.some((test) => test === undefined || test(view));
      };
    },
    queryValue,
  };
}

/** Its properties may be a prototype's. */
const seen = ({ method, path, host, scheme, protocol, headers }: LimitRequest) => ({
  method,
  path,
  host,
  scheme,
  protocol,
  headers,
});
