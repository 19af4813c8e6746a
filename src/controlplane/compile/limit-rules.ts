import type { DocumentOf } from '../yaml/document.js';
import type { LimitKeySpec, LimitMatchSpec, LimitSpec, LimitStoreSpec } from '../yaml/schema/limit.js';
import type { RateLimitRule } from '../yaml/schema/rate-limit-policy.js';
import { headerMatcher } from './header-matcher.js';
import { keyName } from '../yaml/checks/limit-key.js';
import { SERVICE_UNIT_MS } from '../yaml/checks/service-limit.js';
import { httpMatches, queryConditions } from './matches.js';
import type { Plain } from './proto.js';

export type Own = { readonly [key: string]: Plain };

/**
 * A rule as `inmesh.dev/limits` has it, in `rules`: `LimitRule` of `core/model/limit.ts`, field by field, in snake_case, with kinds and other names as they are
 * there. Fields that are absent there are absent here.
 *
 * - `when`: a list of Envoy's `route.v3.RouteMatch`, and in `key` of kind `match` `headers` and `query` lists of `HeaderMatcher` and
 *   `QueryParameterMatcher`, as a Struct has messages: by the names of their fields.
 * - `key`: `{ kind, as, absent }` with `name` (`header`, `query`), `v4_bits` and `v6_bits` (`remote_address`), `path` (`claim`), `value` (`generic`, `match`),
 *   `expect` (`match`).
 * - `limit`: `{ algorithm, requests, per_ms, burst }`; of algorithm `calendar` `{ algorithm, requests, per, time_zone }`.
 * - `overrides`: `{ values, limit }`; in `values` null is any value; `limit` may be the text `unlimited`.
 * - `queue`: `{ max_wait_ms, max_length }`. `cost`: a number, or `{ header }`. `meter`: `{ plan }`.
 * - `store`: `{ kind: local }`, `{ kind: redis, name, urls, timeout_ms, lease: { max_permits, ttl_ms } }`, `{ kind: rls, service, domain, timeout_ms }`.
 *
 * Beside `rules` stand `status`, `grpc_status` and `headers: { x_rate_limit, standard, x_envoy_rate_limited }`.
 */
export function limitRule(policy: DocumentOf<'RateLimitPolicy'>, rule: RateLimitRule, store: Own): Own {
  const { when, key, limit, overrides, queue, cost } = rule;
  const compileLimit = rule.store?.rateLimitService === undefined ? limitOf : serviceLimitOf;
  return {
    name: ruleName(policy, rule.name),
    ...(when !== undefined && { when: when.flatMap(routeMatches) }),
    key: key.map(limitKey),
    ...(limit !== undefined && { limit: compileLimit(limit) }),
    ...(overrides !== undefined && {
      overrides: overrides.map((override) => ({
        values: key.map((entry) => override.match[keyName(entry)] ?? null),
        limit: override.limit === undefined ? 'unlimited' : compileLimit(override.limit),
      })),
    }),
    mode: rule.mode,
    ...(queue !== undefined && { queue: { max_wait_ms: queue.maxWait, max_length: queue.maxLength } }),
    ...storeFields(store, rule.onStoreFailure),
    ...(cost !== undefined && { cost: typeof cost === 'number' ? cost : { header: cost.header.toLowerCase() } }),
  };
}

/** Unique in the mesh. A policy's targets count together. */
export const ruleName = ({ namespace, name }: { namespace: string; name: string }, rule: string): string =>
  `${namespace}/${name}/${rule}`;

export const storeFields = (store: Own, onStoreFailure: RateLimitRule['onStoreFailure']): Own => ({
  store,
  // Of a service nobody else knows the limit; Envoy's `failure_mode_deny` is false.
  on_store_failure: onStoreFailure ?? (store['kind'] === 'rls' ? 'allow' : 'local'),
});

/** `store` of a rule; `service` is the cluster of the rate limit service, if that is what is named. */
export function storeOf(store: LimitStoreSpec, service: string | undefined): Own {
  const { redis, rateLimitService } = store ?? {};
  if (redis !== undefined) {
    const { name, urls, timeout, lease } = redis;
    return {
      kind: 'redis',
      name,
      ...(urls !== undefined && { urls }),
      timeout_ms: timeout,
      ...(lease !== undefined && { lease: { max_permits: lease.maxPermits, ttl_ms: lease.ttl } }),
    };
  }
  if (rateLimitService === undefined) return { kind: 'local' };
  const { domain, timeout } = rateLimitService;
  return { kind: 'rls', service: service ?? '', domain, timeout_ms: timeout };
}

const ALGORITHMS = {
  tokenBucket: 'token_bucket',
  fixedWindow: 'fixed_window',
  slidingWindow: 'sliding_window',
  slidingLog: 'sliding_log',
} as const;

export function limitOf({ requests, per, algorithm = 'tokenBucket', burst, timeZone = 'UTC' }: LimitSpec): Own {
  if (typeof per === 'string') return { algorithm: 'calendar', requests, per, time_zone: timeZone };
  return {
    algorithm: ALGORITHMS[algorithm],
    requests,
    per_ms: per,
    ...(algorithm === 'tokenBucket' && { burst: burst ?? Math.max(1, requests) }),
  };
}

/** For a rate limit service, which has fixed windows alone, and words for them. */
const serviceLimitOf = ({ requests, per }: LimitSpec): Own => ({
  algorithm: 'fixed_window',
  requests,
  per_ms: typeof per === 'string' ? SERVICE_UNIT_MS[per] : per,
});

const ABSENT = { empty: 'empty', skipEntry: 'skip-entry', skipRule: 'skip-rule' } as const;

export function limitKey(entry: LimitKeySpec): Own {
  const { absent } = entry;
  return { as: keyName(entry), ...(absent !== undefined && { absent: ABSENT[absent] }), ...keyKind(entry) };
}

function keyKind(entry: LimitKeySpec): Own {
  if (entry.header !== undefined) return { kind: 'header', name: entry.header.toLowerCase() };
  if (entry.query !== undefined) return { kind: 'query', name: entry.query };
  if (entry.remoteAddress !== undefined) {
    const { v4PrefixLength: v4, v6PrefixLength: v6 } = entry.remoteAddress;
    return {
      kind: 'remote_address',
      ...(v4 !== undefined && { v4_bits: v4 }),
      ...(v6 !== undefined && { v6_bits: v6 }),
    };
  }
  if (entry.claim !== undefined) return { kind: 'claim', path: claimPath(entry.claim) };
  if (entry.generic !== undefined) return { kind: 'generic', value: entry.generic };
  if (entry.match !== undefined) {
    const { value, headers = [], queryParams, expect } = entry.match;
    const { query_parameters: query = [] } = queryConditions(queryParams) as Own;
    return { kind: 'match', value, headers: headers.map(headerMatcher), query, expect };
  }
  const kinds = ['identity', 'route', 'method', 'path', 'host', 'destination', 'source'] as const;
  return { kind: kinds.find((name) => entry[name] !== undefined) ?? 'generic' };
}

export const claimPath = (claim: string | readonly string[]): readonly string[] =>
  typeof claim === 'string' ? [claim] : claim;

/** One is two, where a prefix is the path itself or begins it. */
export function routeMatches({ path, method, headers = [], queryParams }: LimitMatchSpec): Own[] {
  const everywhere = { type: 'PathPrefix', value: '/' } as const;
  return httpMatches({ path: path ?? everywhere, method, queryParams }).map(({ match }) => {
    const { headers: asked = [], ...rest } = match as { readonly headers?: readonly Plain[] } & Own;
    const all = [...asked, ...headers.map(headerMatcher)];
    return { ...rest, ...(all.length > 0 && { headers: all }) };
  });
}
