import { describe, expect, test } from 'vitest';
import type { RouteLimits } from '../../../src/core/model/limit.js';
import type { Resource } from '../../../src/core/resources.js';
import { filterOf, override, servedRoute, typedStruct } from '../../support/route-filters.js';
import { any } from '../../support/xds-resources.js';
import { refusesBy, type Rule } from '../../support/xds-rules.js';

const OWN = 'inmesh.dev/limits';
const limit = { requests: 10, per_ms: 1_000 };
const rule = (name: string, fields: object = {}): object => ({ name, limit, ...fields });
const own = (...rules: unknown[]): Resource => typedStruct(OWN, { rules });
const limitsOf = (...filters: Resource[]): RouteLimits | undefined => servedRoute(filters).limits;
const read = (config: unknown): RouteLimits | undefined => limitsOf(filterOf('l', typedStruct(OWN, config)));
const readRule = (fields: object): unknown => read({ rules: [rule('r', fields)] })?.rules[0];

describe('inmesh.dev/limits', () => {
  test('of a rule takes what must be said, with the defaults of the rest', () => {
    expect(read({ rules: [rule('r')] })).toEqual({
      rules: [
        {
          name: 'r',
          key: [],
          limit: { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 10 },
          mode: 'enforce',
          store: { kind: 'local' },
          onStoreFailure: 'local',
        },
      ],
      status: 429,
      grpcStatus: 8,
      headers: { xRateLimit: 'epoch', standard: true, xEnvoyRateLimited: true },
    });
  });

  test('takes every field', () => {
    const when = [
      {
        prefix: '/a',
        headers: [{ name: ':method', string_match: { exact: 'GET' } }],
        case_sensitive: { value: false },
      },
      { safe_regex: { regex: '/b.*' }, query_parameters: [{ name: 'q', present_match: true }] },
    ];
    const store = {
      kind: 'redis',
      name: 'shared',
      urls: ['redis://a:6379', 'rediss://b'],
      timeout_ms: 20,
      lease: { max_permits: 100, ttl_ms: 500 },
    };
    const overrides = [
      { values: ['gold', null], limit: { algorithm: 'fixed_window', requests: 5, per_ms: 60_000 } },
      { values: [null, 'x'], limit: 'unlimited' },
      { values: [null, null], limit: 'skip' },
    ];
    const found = read({
      rules: [
        rule('r', {
          when,
          key: [
            { kind: 'header', name: 'X-Plan' },
            { kind: 'claim', path: ['a', 'b'] },
          ],
          overrides,
          mode: 'shadow',
          queue: { max_wait_ms: 100, max_length: 5 },
          store,
          on_store_failure: 'deny',
          cost: { header: 'X-Cost' },
          meter: { plan: 'gold' },
        }),
      ],
      status: 503,
      grpc_status: 14,
      headers: { x_rate_limit: 'seconds', standard: false, x_envoy_rate_limited: false },
    });
    expect(found).toMatchObject({
      status: 503,
      grpcStatus: 14,
      headers: { xRateLimit: 'seconds', standard: false, xEnvoyRateLimited: false },
    });
    expect(found?.rules[0]).toMatchObject({
      when: [
        { path: { kind: 'prefix', value: '/a', ignoreCase: true }, headers: [{ name: ':method' }] },
        { path: { kind: 'regex' }, query: [{ name: 'q', match: { kind: 'present', present: true } }] },
      ],
      key: [
        { kind: 'header', name: 'x-plan', as: 'x-plan' },
        { kind: 'claim', path: ['a', 'b'], as: 'a.b' },
      ],
      mode: 'shadow',
      queue: { maxWaitMs: 100, maxLength: 5 },
      store: {
        kind: 'redis',
        name: 'shared',
        urls: ['redis://a:6379', 'rediss://b'],
        timeoutMs: 20,
        lease: { maxPermits: 100, ttlMs: 500 },
      },
      onStoreFailure: 'deny',
      cost: { header: 'x-cost' },
      meter: { plan: 'gold' },
      overrides: [
        { values: ['gold', undefined], limit: { algorithm: 'fixed_window', requests: 5, perMs: 60_000 } },
        { values: [undefined, 'x'], limit: 'unlimited' },
        { values: [undefined, undefined], limit: 'skip' },
      ],
    });
  });

  test.each<[object, object]>([
    [
      { kind: 'query', name: 'q', absent: 'skip-rule' },
      { kind: 'query', name: 'q', as: 'q', absent: 'skip-rule' },
    ],
    [{ kind: 'remote_address' }, { kind: 'remote_address', as: 'remote_address' }],
    [
      { kind: 'remote_address', v4_bits: 24, v6_bits: 64 },
      { as: 'remote_address', v4Bits: 24, v6Bits: 64 },
    ],
    [
      { kind: 'identity', as: 'who' },
      { kind: 'identity', as: 'who' },
    ],
    [{ kind: 'route' }, { kind: 'route', as: 'route' }],
    [{ kind: 'destination' }, { kind: 'destination', as: 'destination_cluster' }],
    [{ kind: 'source' }, { kind: 'source', as: 'source_cluster' }],
    [
      { kind: 'generic', value: 'v' },
      { kind: 'generic', value: 'v', as: 'generic_key' },
    ],
    [
      { kind: 'match', value: 'v', query: [{ name: 'q' }], expect: false },
      { kind: 'match', value: 'v', as: 'header_match', headers: [], query: [{ name: 'q' }], expect: false },
    ],
  ])('of the key %o is %o', (entry, key) => {
    expect((readRule({ key: [entry] }) as { key: object[] }).key[0]).toMatchObject(key);
  });

  test.each<[object, object]>([
    [
      { requests: 0, per_ms: 1 },
      { algorithm: 'token_bucket', requests: 0, perMs: 1, burst: 1 },
    ],
    [
      { requests: 1, per_ms: 1, burst: 7 },
      { algorithm: 'token_bucket', requests: 1, perMs: 1, burst: 7 },
    ],
    [
      { algorithm: 'sliding_window', requests: 1, per_ms: 2 },
      { algorithm: 'sliding_window', requests: 1, perMs: 2 },
    ],
    [
      { algorithm: 'sliding_log', requests: 1, per_ms: 2 },
      { algorithm: 'sliding_log', requests: 1, perMs: 2 },
    ],
    [
      { algorithm: 'calendar', requests: 1, per: 'week', time_zone: 'Europe/Berlin' },
      { algorithm: 'calendar', requests: 1, per: 'week', timeZone: 'Europe/Berlin' },
    ],
    [
      { algorithm: 'calendar', requests: 1, per: 'day' },
      { algorithm: 'calendar', requests: 1, per: 'day', timeZone: 'UTC' },
    ],
  ])('of the limit %o is %o', (given, found) => {
    expect(readRule({ limit: given })).toMatchObject({ limit: found });
  });

  test('of a service that knows the limits lets through when it does not answer, as Envoy does', () => {
    const store = { kind: 'rls', service: 'limits', domain: 'd' };
    expect(readRule({ limit: undefined, store })).toMatchObject({
      store: { kind: 'rls', service: 'limits', domain: 'd', timeoutMs: 20 },
      onStoreFailure: 'allow',
    });
  });

  test('of a service that knows the limits may say what limit goes with the question', () => {
    const store = { kind: 'rls', service: 'limits', domain: 'd' };
    const limit = { algorithm: 'fixed_window', requests: 5, per_ms: 60_000 };
    const overrides = [
      { values: ['batch'], limit: { ...limit, requests: 9 } },
      { values: [null], limit: 'unlimited' },
    ];
    expect(readRule({ key: [{ kind: 'header', name: 'x' }], limit, overrides, store })).toMatchObject({
      limit: { algorithm: 'fixed_window', requests: 5, perMs: 60_000 },
      overrides: [{ limit: { requests: 9 } }, { limit: 'unlimited' }],
    });
  });

  test('of a route take the place of the filter’s, whole (A39)', () => {
    const filters = [filterOf('l', own(rule('listener')))];
    const names = (levels = {}): unknown => servedRoute(filters, levels).limits?.rules.map(({ name }) => name);
    expect(names()).toEqual(['listener']);
    expect(names({ route: override(['l', own(rule('a'), rule('b'))]) })).toEqual(['a', 'b']);
    expect(names({ host: override(['l', own(rule('h'))]), route: override(['l', own()]) })).toBeUndefined();
    expect(names({ route: override(['l', any('envoy.config.route.v3.FilterConfig', { disabled: true })]) })).toBe(
      undefined,
    );
    expect(servedRoute([], { route: override(['l', own(rule('a'))]) }).limits).toBeUndefined();
  });

  test('of several filters add up, and what a refusal looks like is the word of the first', () => {
    const found = limitsOf(
      filterOf('a', typedStruct(OWN, { rules: [rule('a')], status: 503 })),
      filterOf('b', typedStruct(OWN, { rules: [rule('b'), rule('a')], status: 418 })),
    );
    expect(found).toMatchObject({ status: 503, rules: [{ name: 'a' }, { name: 'b' }] });
    expect(found?.rules).toHaveLength(2);
  });

  test('of one weighted cluster stand in for the route’s', () => {
    const clusters = [
      { name: 'x', weight: { value: 1 }, ...override(['l', own(rule('x'))]) },
      { name: 'y', weight: { value: 1 } },
    ];
    const { action } = servedRoute([filterOf('l', own(rule('listener')))], {
      route: { route: { weighted_clusters: { clusters } } },
    });
    const names =
      action.kind === 'forward' ? action.clusters.map((cluster) => cluster.own?.limits?.rules[0]?.name) : [];
    expect(names).toEqual(['x', undefined]);
  });
});

const at = 'http_filters[0].typed_config.value';
const r0 = `${at}.rules[0]`;
const one = (fields: object): unknown => ({ rules: [rule('r', fields)] });
const source = OWN;
const RULES: readonly Rule<unknown>[] = [
  {
    rule: 'a field is unknown',
    source,
    resource: { rule: [] },
    problem: `${at}.rule: unknown field; did you mean "rules"?`,
  },
  {
    rule: 'a field of a rule is unknown',
    source,
    resource: one({ limits: {} }),
    problem: `${r0}.limits: unknown field; did you mean "limit"?`,
  },
  { rule: 'rules is no list', source, resource: { rules: 'all' }, problem: `${at}.rules: must be a list, got "all"` },
  { rule: 'a rule is null', source, resource: { rules: [null] }, problem: `${r0}: must be a message, got null` },
  {
    rule: 'there are more than 64 rules',
    source,
    resource: { rules: Array.from({ length: 65 }, (_, i) => rule(`r${i}`)) },
    problem: `${at}.rules: must have at most 64, got 65`,
  },
  { rule: 'a rule has no name', source, resource: { rules: [{ limit }] }, problem: `${r0}.name: must be set` },
  {
    rule: 'a name is repeated',
    source,
    resource: { rules: [rule('r'), rule('r')] },
    problem: `${at}.rules[1].name: must not be repeated, got "r" again`,
  },
  {
    rule: 'a rule does nothing',
    source,
    resource: { rules: [{ name: 'r' }] },
    problem: `${r0}: must have limit, overrides or meter`,
  },
  {
    rule: 'a limit has no number',
    source,
    resource: one({ limit: { per_ms: 1 } }),
    problem: `${r0}.limit.requests: must be set`,
  },
  {
    rule: 'a number is negative',
    source,
    resource: one({ limit: { requests: -1, per_ms: 1 } }),
    problem: `${r0}.limit.requests: must be a number from 0 to 4294967295, got -1`,
  },
  {
    rule: 'a number is no whole number',
    source,
    resource: one({ limit: { requests: 1.5, per_ms: 1 } }),
    problem: `${r0}.limit.requests: must be a whole number, got 1.5`,
  },
  {
    rule: 'a limit is per no time',
    source,
    resource: one({ limit: { requests: 1, per_ms: 0 } }),
    problem: `${r0}.limit.per_ms: must be a number from 1`,
  },
  {
    rule: 'a burst lets nothing through',
    source,
    resource: one({ limit: { requests: 1, per_ms: 1, burst: 0 } }),
    problem: `${r0}.limit.burst: must be a number from 1`,
  },
  {
    rule: 'a window has a burst',
    source,
    resource: one({ limit: { algorithm: 'fixed_window', requests: 1, per_ms: 1, burst: 1 } }),
    problem: `${r0}.limit.burst: unknown field`,
  },
  {
    rule: 'a log would have to remember too much',
    source,
    resource: one({ limit: { algorithm: 'sliding_log', requests: 100_001, per_ms: 1 } }),
    problem: `${r0}.limit.requests: must be a number from 0 to 100000, got 100001`,
  },
  {
    rule: 'a calendar has no period',
    source,
    resource: one({ limit: { algorithm: 'calendar', requests: 1 } }),
    problem: `${r0}.limit.per: must be set to one of minute, hour`,
  },
  {
    rule: 'a time zone is none',
    source,
    resource: one({ limit: { algorithm: 'calendar', requests: 1, per: 'day', time_zone: 'Mars/Base' } }),
    problem: `${r0}.limit.time_zone: must be an IANA time zone such as Europe/Berlin, got "Mars/Base"`,
  },
  {
    rule: 'an algorithm is unknown',
    source,
    resource: one({ limit: { algorithm: 'leaky', requests: 1, per_ms: 1 } }),
    problem: `${r0}.limit.algorithm: must be one of token_bucket`,
  },
  {
    rule: 'a key has no kind',
    source,
    resource: one({ key: [{ as: 'x' }] }),
    problem: `${r0}.key[0].kind: must be set to one of header`,
  },
  {
    rule: 'a key has a field of another kind',
    source,
    resource: one({ key: [{ kind: 'route', name: 'x' }] }),
    problem: `${r0}.key[0].name: unknown field`,
  },
  {
    rule: 'a key’s header is none',
    source,
    resource: one({ key: [{ kind: 'header', name: 'a b' }] }),
    problem: `${r0}.key[0].name: must be a header name`,
  },
  {
    rule: 'a key’s mask is too long',
    source,
    resource: one({ key: [{ kind: 'remote_address', v4_bits: 33 }] }),
    problem: `${r0}.key[0].v4_bits: must be a number from 0 to 32, got 33`,
  },
  {
    rule: 'a claim has no path',
    source,
    resource: one({ key: [{ kind: 'claim' }] }),
    problem: `${r0}.key[0].path: must have 1 to 8 names of claims`,
  },
  {
    rule: 'a match matches by nothing',
    source,
    resource: one({ key: [{ kind: 'match', value: 'v' }] }),
    problem: `${r0}.key[0]: must have headers or query`,
  },
  {
    rule: 'a condition matches by nothing',
    source,
    resource: one({ when: [{}] }),
    problem: `${r0}.when[0]: must have one of prefix`,
  },
  {
    rule: 'a condition asks for what no request has',
    source,
    resource: one({ when: [{ prefix: '/', filter_state: [{ key: 'k' }] }] }),
    problem: `${r0}.when[0]: asks for dynamic_metadata or filter_state`,
  },
  {
    rule: 'an override has not as many values as the key has entries',
    source,
    resource: one({ key: [{ kind: 'route' }], overrides: [{ values: [], limit: 'unlimited' }] }),
    problem: `${r0}.overrides[0].values: must have one for each entry of key (1), got 0`,
  },
  {
    rule: 'an override’s value is neither text nor null',
    source,
    resource: one({ key: [{ kind: 'route' }], overrides: [{ values: [1], limit: 'unlimited' }] }),
    problem: `${r0}.overrides[0].values[0]: must be a string or null, got 1`,
  },
  {
    rule: 'an override has an unknown word for its limit',
    source,
    resource: one({ overrides: [{ values: [], limit: 'none' }] }),
    problem: `${r0}.overrides[0].limit: must be one of unlimited, skip, got "none"`,
  },
  {
    rule: 'a line is endless',
    source,
    resource: one({ queue: { max_wait_ms: 600_001, max_length: 1 } }),
    problem: `${r0}.queue.max_wait_ms: must be a number from 1 to 600000, got 600001`,
  },
  {
    rule: 'a store is unknown',
    source,
    resource: one({ store: { kind: 'etcd' } }),
    problem: `${r0}.store.kind: must be one of local, redis, rls, got "etcd"`,
  },
  {
    rule: 'the address of Redis is none, and it is not shown, as it may hold a password',
    source,
    resource: one({ store: { kind: 'redis', urls: ['http://u:secret@a'] } }),
    problem: `${r0}.store.urls[0]: must be a URL redis://host:port or rediss://host:port`,
  },
  {
    rule: 'a lease is of one permit, which spares nothing',
    source,
    resource: one({ store: { kind: 'redis', lease: { max_permits: 1, ttl_ms: 1 } } }),
    problem: `${r0}.store.lease.max_permits: must be a number from 2`,
  },
  {
    rule: 'a rate limit service has no domain',
    source,
    resource: one({ limit: undefined, store: { kind: 'rls', service: 's' } }),
    problem: `${r0}.store.domain: must be set`,
  },
  {
    rule: 'a rate limit service is told a limit that it has no words for',
    source,
    resource: one({ store: { kind: 'rls', service: 's', domain: 'd' } }),
    problem: `${r0}.limit: must be a fixed_window of a second, minute, hour, day, week, month (30 days) or year (365 days) with the store rls`,
  },
  {
    rule: 'a rate limit service is told of a window of another length',
    source,
    resource: one({
      limit: { algorithm: 'fixed_window', requests: 1, per_ms: 1_500 },
      store: { kind: 'rls', service: 's', domain: 'd' },
    }),
    problem: `${r0}.limit: must be a fixed_window of a second`,
  },
  {
    rule: 'requests wait in a line for a rate limit service',
    source,
    resource: one({
      limit: undefined,
      queue: { max_wait_ms: 1, max_length: 1 },
      store: { kind: 'rls', service: 's', domain: 'd' },
    }),
    problem: `${r0}.queue: must not be set with the store rls`,
  },
  {
    rule: 'a cost is less than nothing',
    source,
    resource: one({ cost: -1 }),
    problem: `${r0}.cost: must be a number from 0 to 1000000, got -1`,
  },
  { rule: 'a cost is a text', source, resource: one({ cost: '1' }), problem: `${r0}.cost: must be a message, got "1"` },
  {
    rule: 'a status is no error',
    source,
    resource: { status: 200 },
    problem: `${at}.status: must be a number from 400 to 599, got 200`,
  },
  {
    rule: 'a gRPC status says something else',
    source,
    resource: { grpc_status: 5 },
    problem: `${at}.grpc_status: must be 8 (RESOURCE_EXHAUSTED) or 14 (UNAVAILABLE), got 5`,
  },
];
refusesBy('LDS client, inmesh.dev/limits', read, RULES);

test('a password in an address of Redis is in no error', () => {
  expect(() => read(one({ store: { kind: 'redis', urls: ['http://u:secret@a'] } }))).toThrow(/^(?!.*secret)/s);
});
