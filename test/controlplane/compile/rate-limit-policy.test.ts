import { describe, expect, test } from 'vitest';
import type { LimitRule } from '../../../src/core/model/limit.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import {
  compileYaml,
  grantYaml,
  grpcRouteYaml,
  httpRouteYaml,
  problemsOf,
  requestPolicyYaml,
  routesOf,
  serviceYaml,
} from '../../support/mesh-yaml.js';
import { limitsOf, ruleNames } from '../../support/request-policies.js';

const A = serviceYaml('a') + serviceYaml('b');
const TO_A = 'kind: Service, name: a';
const policy = (name: string, target: string, spec: string): string =>
  requestPolicyYaml('RateLimitPolicy', name, target, spec);
const LIMIT = 'limit: { requests: 10, per: 1m }';
const one = (name: string): string => `limits: [{ name: ${name}, ${LIMIT} }]`;
const PATHS =
  '[{ name: one, matches: [{ path: { value: /1 } }], backendRefs: [{ name: b }] }, { name: two, backendRefs: [{ name: a }] }]';

interface ApiListener {
  readonly api_listener: { readonly api_listener: { readonly http_filters: readonly Resource[] } };
}

/** The one rule of a policy of Service `a`. */
const ruleOf = (rule: string, more = ''): LimitRule | undefined =>
  limitsOf(routesOf(compileYaml(A + more + policy('p', TO_A, `limits: [{ name: r, ${rule} }]`)), 'a.default:80')[0])
    ?.rules[0];

describe('a RateLimitPolicy', () => {
  test('of a Service meets the calls to it by name, whether it has routes or not', () => {
    const plain = compileYaml(A + policy('p', TO_A, one('r')));
    expect(routesOf(plain, 'a.default:80').map(ruleNames)).toEqual([['default/p/r']]);
    expect(routesOf(plain, 'b.default:80').map(ruleNames)).toEqual([undefined]);
    const routed = compileYaml(A + httpRouteYaml('h', 'name: a', PATHS) + policy('p', TO_A, one('r')));
    expect(routesOf(routed, 'a.default:80').map((route) => [route.name, ruleNames(route)])).toEqual([
      ['default/h/one', ['default/p/r']],
      ['default/h/one', ['default/p/r']],
      ['default/h/two', ['default/p/r']],
    ]);
  });

  test('of a route meets what it matches, or what one rule of it matches; a GRPCRoute likewise', () => {
    const target = 'kind: HTTPRoute, name: h';
    const named = (section: string) =>
      routesOf(
        compileYaml(A + httpRouteYaml('h', 'name: a', PATHS) + policy('p', `${target}${section}`, one('r'))),
        'a.default:80',
      ).map(ruleNames);
    expect(named('')).toEqual([['default/p/r'], ['default/p/r'], ['default/p/r']]);
    expect(named(', sectionName: two')).toEqual([undefined, undefined, ['default/p/r']]);
    const grpc = grpcRouteYaml('g', 'name: a', '[{ name: m, backendRefs: [{ name: a }] }]');
    const of = compileYaml(A + grpc + policy('p', 'kind: GRPCRoute, name: g, sectionName: m', one('r')));
    expect(routesOf(of, 'a.default:80').map(ruleNames)).toEqual([['default/p/r']]);
  });

  test('adds its rules to those of all others that meet a request, each once, the most specific first', () => {
    const text =
      A +
      httpRouteYaml('h', 'name: a', PATHS) +
      policy('service', TO_A, one('r')) +
      policy('route', `kind: HTTPRoute, name: h }, { ${TO_A}`, one('r')) +
      policy('rule', 'kind: HTTPRoute, name: h, sectionName: two', one('r'));
    expect(ruleNames(routesOf(compileYaml(text), 'a.default:80')[2])).toEqual([
      'default/rule/r',
      'default/route/r',
      'default/service/r',
    ]);
  });

  test('says what a refusal looks like; of several the most specific that says it', () => {
    const route = httpRouteYaml('h', 'name: a', PATHS);
    const text =
      policy('service', TO_A, `${one('r')}, status: 503, grpcStatus: UNAVAILABLE, headers: { standard: false }`) +
      policy(
        'rule',
        'kind: HTTPRoute, name: h, sectionName: two',
        `${one('r')}, status: 420, headers: { xRateLimit: off, xEnvoyRateLimited: false }`,
      );
    expect(limitsOf(routesOf(compileYaml(A + route + text), 'a.default:80')[2])).toMatchObject({
      status: 420,
      grpcStatus: 14,
      headers: { xRateLimit: 'off', standard: false, xEnvoyRateLimited: false },
    });
    expect(limitsOf(routesOf(compileYaml(A + policy('p', TO_A, one('r'))), 'a.default:80')[0])).toMatchObject({
      status: 429,
      grpcStatus: 8,
      headers: { xRateLimit: 'epoch', standard: true, xEnvoyRateLimited: true },
    });
  });

  test.each([
    ['requests: 10, per: 1m', { algorithm: 'token_bucket', requests: 10, perMs: 60_000, burst: 10 }],
    ['requests: 0, per: 1s', { algorithm: 'token_bucket', requests: 0, perMs: 1_000, burst: 1 }],
    ['requests: 10, per: 1s, burst: 3', { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 3 }],
    ['requests: 10, per: 1s, algorithm: fixedWindow', { algorithm: 'fixed_window', requests: 10, perMs: 1_000 }],
    ['requests: 10, per: 1s, algorithm: slidingWindow', { algorithm: 'sliding_window', requests: 10, perMs: 1_000 }],
    ['requests: 10, per: 24h, algorithm: slidingLog', { algorithm: 'sliding_log', requests: 10, perMs: 86_400_000 }],
    ['requests: 10, per: day', { algorithm: 'calendar', requests: 10, per: 'day', timeZone: 'UTC' }],
    [
      'requests: 10, per: month, timeZone: Asia/Tokyo',
      { algorithm: 'calendar', requests: 10, per: 'month', timeZone: 'Asia/Tokyo' },
    ],
  ])('{ %s } is a limit', (limit, expected) => {
    expect(ruleOf(`limit: { ${limit} }`)?.limit).toEqual(expected);
  });

  test.each([
    ['{ header: X-User }', { kind: 'header', as: 'x-user', name: 'x-user' }],
    ['{ header: x, as: who, absent: skipRule }', { kind: 'header', as: 'who', name: 'x', absent: 'skip-rule' }],
    ['{ query: Q, absent: skipEntry }', { kind: 'query', as: 'Q', name: 'Q', absent: 'skip-entry' }],
    ['{ remoteAddress: {} }', { kind: 'remote_address', as: 'remote_address' }],
    ['{ remoteAddress: { v4PrefixLength: 24 } }', { kind: 'remote_address', as: 'remote_address', v4Bits: 24 }],
    ['{ claim: sub }', { kind: 'claim', as: 'sub', path: ['sub'] }],
    ['{ claim: [a.b, c] }', { kind: 'claim', as: 'a.b.c', path: ['a.b', 'c'] }],
    ['{ identity: {} }', { kind: 'identity', as: 'identity' }],
    ['{ destination: {} }', { kind: 'destination', as: 'destination_cluster' }],
    ['{ source: {} }', { kind: 'source', as: 'source_cluster' }],
    ['{ generic: all }', { kind: 'generic', as: 'generic_key', value: 'all' }],
  ])('%s is a key', (key, expected) => {
    expect(ruleOf(`key: [${key}], ${LIMIT}`)?.key).toEqual([expected]);
  });

  test('counts by what matches, and only requests that match', () => {
    const match =
      '{ match: { value: gold, headers: [{ name: X-Tier, type: Prefix, value: g }], queryParams: [{ name: q, value: "1" }], expect: false } }';
    const rule = ruleOf(
      `key: [${match}], when: [{ path: { value: /a }, method: GET }, { headers: [{ name: b, type: Present, invert: true }] }], ${LIMIT}`,
    );
    expect(rule?.key).toMatchObject([
      {
        kind: 'match',
        value: 'gold',
        headers: [{ name: 'x-tier', match: { kind: 'prefix', value: 'g' } }],
        query: [{ name: 'q', match: { kind: 'exact', value: '1' } }],
        expect: false,
      },
    ]);
    expect(rule?.when).toMatchObject([
      { path: { kind: 'exact', value: '/a' }, headers: [{ name: ':method' }] },
      { path: { kind: 'prefix', value: '/a/' }, headers: [{ name: ':method' }] },
      { path: { kind: 'prefix', value: '/' }, headers: [{ name: 'b', match: { kind: 'present' }, invert: true }] },
    ]);
  });

  test('makes exceptions for keys by the names of their parts', () => {
    const rule = ruleOf(
      `key: [{ header: x-user }, { claim: plan }], ${LIMIT}, overrides: [{ match: { plan: gold }, unlimited: true }, { match: { x-user: bob, plan: free }, limit: { requests: 1, per: hour } }]`,
    );
    expect(rule?.overrides).toEqual([
      { values: [undefined, 'gold'], limit: 'unlimited' },
      { values: ['bob', 'free'], limit: { algorithm: 'calendar', requests: 1, per: 'hour', timeZone: 'UTC' } },
    ]);
  });

  test('refuses at once and counts in the process unless it says otherwise', () => {
    expect(ruleOf(LIMIT)).toEqual({
      name: 'default/p/r',
      key: [],
      limit: { algorithm: 'token_bucket', requests: 10, perMs: 60_000, burst: 10 },
      mode: 'enforce',
      store: { kind: 'local' },
      onStoreFailure: 'local',
    });
    expect(ruleOf(`${LIMIT}, mode: shadow, cost: 3`)).toMatchObject({ mode: 'shadow', cost: 3 });
    expect(ruleOf(`${LIMIT}, queue: {}, cost: { header: X-Cost }`)).toMatchObject({
      queue: { maxWaitMs: 1_000, maxLength: 100 },
      cost: { header: 'x-cost' },
    });
  });

  test('counts in Redis, or asks a rate limit service', () => {
    expect(ruleOf(`${LIMIT}, store: { redis: {} }`)).toMatchObject({
      store: { kind: 'redis', name: 'default', timeoutMs: 50 },
      onStoreFailure: 'local',
    });
    expect(
      ruleOf(`${LIMIT}, store: { redis: { name: x, lease: { maxPermits: 5 } } }, onStoreFailure: deny`),
    ).toMatchObject({ store: { name: 'x', lease: { maxPermits: 5, ttlMs: 1_000 } }, onStoreFailure: 'deny' });
    expect(ruleOf('key: [{ generic: a }], store: { rateLimitService: { name: b, domain: d } }')).toMatchObject({
      store: { kind: 'rls', service: 'b.default:80', domain: 'd', timeoutMs: 20 },
      onStoreFailure: 'allow',
    });
  });

  test('tells a rate limit service the limit, where the rule has one', () => {
    const asked = 'key: [{ header: x-user }], store: { rateLimitService: { name: b, domain: d } }';
    const overrides = 'overrides: [{ match: { x-user: batch }, limit: { requests: 9, per: 24h } }]';
    expect(ruleOf(`${asked}, limit: { requests: 5, per: minute }, ${overrides}`)).toMatchObject({
      limit: { algorithm: 'fixed_window', requests: 5, perMs: 60_000 },
      overrides: [{ values: ['batch'], limit: { algorithm: 'fixed_window', requests: 9, perMs: 86_400_000 } }],
    });
    expect(ruleOf(`${asked}, limit: { requests: 5, per: month }`)?.limit).toEqual({
      algorithm: 'fixed_window',
      requests: 5,
      perMs: 2_592_000_000,
    });
  });

  const other = (spec: string): string => serviceYaml('limiter', 'endpoints: []', 'namespace: other') + spec;
  const asking = (failure: string): string =>
    `key: [{ generic: a }], store: { rateLimitService: { name: limiter, namespace: other, domain: d } }, onStoreFailure: ${failure}`;

  test('asks a service of another namespace only where that permits it', () => {
    const grant = grantYaml('g', 'other', 'RateLimitPolicy', 'default');
    expect(ruleOf(asking('allow'), other(grant))?.store).toMatchObject({ service: 'limiter.other:80' });
    expect(ruleOf(asking('allow'), other(''))).toBeUndefined();
    // A store that may not be asked has failed, and what is to be refused then is refused.
    expect(ruleOf(asking('deny'), other(''))).toMatchObject({ limit: { requests: 0 }, store: { kind: 'local' } });
    const { warnings } = compileYaml(A + other('') + policy('p', TO_A, `limits: [{ name: r, ${asking('allow')} }]`));
    expect(warnings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'spec.limits[0].store.rateLimitService.namespace: namespace "other" does not permit it, so no call goes there: write a ReferenceGrant in namespace "other" with spec { from: [{ group: inmesh.dev, kind: RateLimitPolicy, namespace: default }], to: [{ group: "", kind: Service, name: limiter }] }',
    ]);
  });

  test('puts its filter into the listeners of the ports that it meets, and into no others', () => {
    const { resources } = compileYaml(A + policy('p', TO_A, one('r')));
    const filters = (name: string): string[] => {
      const listener = resources[LISTENER].get(name) as unknown as ApiListener;
      return listener.api_listener.api_listener.http_filters.map((filter) => String(filter['name']));
    };
    expect(filters('a')).toEqual(['inmesh.dev/limits', 'envoy.filters.http.router']);
    expect(filters('b')).toEqual(['envoy.filters.http.router']);
  });

  test('that brings more rules to a request than are looked at is a mistake', () => {
    const many = (name: string): string => {
      const rules = Array.from({ length: 32 }, (_, i) => `{ name: r${i}, ${LIMIT} }`);
      return policy(name, TO_A, `limits: [${rules.join(', ')}]`);
    };
    expect(problemsOf(A + many('p') + many('q'))).toEqual([]);
    expect(problemsOf(A + many('p') + many('q') + policy('r', TO_A, one('r')))).toEqual([
      expect.stringMatching(
        /RateLimitPolicy\/r spec\.targetRefs: one rule of a route comes to 65 limits .* at most 64/,
      ),
    ]);
  });
});
