import { describe, expect, test } from 'vitest';
import type { LimitRule, RouteLimits } from '../../../src/core/model/limit.js';
import type { Resource } from '../../../src/core/resources.js';
import { filterOf, type Levels, override, servedRoute, servedRoutes } from '../../support/route-filters.js';
import { any, toCluster } from '../../support/xds-resources.js';
import { refusesBy, type Rule } from '../../support/xds-rules.js';

const LOCAL = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const all: Resource = { default_value: { numerator: 100 } };
const bucket = (max_tokens: number, fields: Resource = {}): Resource => ({
  max_tokens,
  fill_interval: { seconds: 1 },
  ...fields,
});
const local = (fields: Resource = {}): Resource =>
  any(LOCAL, { stat_prefix: 's', token_bucket: bucket(10), filter_enabled: all, filter_enforced: all, ...fields });
const named = (fields?: Resource): Resource => filterOf('local', local(fields));
const limitsOf = (fields: Resource = {}, levels: Levels = {}): RouteLimits | undefined =>
  servedRoute([named(fields)], levels).limits;
const rulesOf = (fields: Resource = {}, levels: Levels = {}): readonly LimitRule[] =>
  limitsOf(fields, levels)?.rules ?? [];
const namesOf = (fields: Resource = {}, levels: Levels = {}): string[] =>
  rulesOf(fields, levels).map(({ name }) => name);

const descriptor = (max_tokens: number, ...entries: [string, string?][]): Resource => ({
  entries: entries.map(([key, value]) => ({ key, ...(value !== undefined && { value }) })),
  token_bucket: bucket(max_tokens),
});
const header = (name: string, skip_if_absent = false): Resource => ({
  request_headers: { header_name: `x-${name}`, descriptor_key: name, skip_if_absent },
});
const limitedBy = (...actions: Resource[]): Levels => ({ action: { rate_limits: [{ actions }] } });

describe('LocalRateLimit', () => {
  test('is a rule for all requests of the listener', () => {
    expect(limitsOf({ token_bucket: bucket(10, { tokens_per_fill: { value: 5 } }) })).toEqual({
      rules: [
        {
          name: 'l/local',
          key: [],
          limit: { algorithm: 'token_bucket', requests: 5, perMs: 1_000, burst: 10 },
          mode: 'enforce',
          store: { kind: 'local' },
          onStoreFailure: 'local',
        },
      ],
      status: 429,
      grpcStatus: 14,
      headers: { xRateLimit: 'off', standard: false, xEnvoyRateLimited: false },
    });
    expect(rulesOf()[0]?.limit).toMatchObject({ requests: 1, burst: 10 });
  });

  test('does nothing unless it is enabled, and only counts unless it is enforced: both are 0 % by default', () => {
    const unset = { default_value: {} };
    expect(limitsOf({ filter_enabled: undefined as unknown as Resource })).toBeUndefined();
    expect(limitsOf({ filter_enabled: unset })).toBeUndefined();
    expect(rulesOf({ filter_enforced: unset })).toMatchObject([{ mode: 'shadow' }]);
    expect(rulesOf({ filter_enforced: undefined as unknown as Resource })).toMatchObject([{ mode: 'shadow' }]);
  });

  test('looks at the share of requests for which it is enabled', () => {
    const found = rulesOf({ filter_enabled: { default_value: { numerator: 25 } } });
    expect(found).toMatchObject([{ share: { name: 'l/local', of: 0.25 } }]);
    expect(rulesOf()[0]).not.toHaveProperty('share');
  });

  test('looks at the same requests for its bucket and for its descriptors', () => {
    const descriptors = [descriptor(3, ['user'])];
    const filter_enabled = { default_value: { numerator: 25 } };
    const share = { name: 'l/local', of: 0.25 };
    const found = rulesOf({ descriptors, filter_enabled }, limitedBy(header('user')));
    expect(found).toMatchObject([
      { name: 'l/local/user', share },
      { name: 'l/local', share },
    ]);
    expect(found[0]).not.toHaveProperty('when');
  });

  test('says in a refusal what it is told to say', () => {
    const found = limitsOf({
      status: { code: 'ServiceUnavailable' },
      rate_limited_as_resource_exhausted: true,
      enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
      response_headers_to_add: [{ header: { key: 'x-local-rate-limit', value: 'true' } }],
    });
    expect(found).toMatchObject({
      status: 503,
      grpcStatus: 8,
      headers: { xRateLimit: 'seconds', standard: false, xEnvoyRateLimited: false },
      refusalHeaders: [{ name: 'x-local-rate-limit', value: 'true' }],
    });
    expect(limitsOf({ status: { code: 'OK' } })).toMatchObject({ status: 429 });
    // "httpToGrpcStatus" of the status, where the filter does not say RESOURCE_EXHAUSTED.
    expect(limitsOf({ status: { code: 'ServiceUnavailable' } })).toMatchObject({ status: 503, grpcStatus: 14 });
    expect(limitsOf({ status: { code: 'Forbidden' } })).toMatchObject({ status: 403, grpcStatus: 7 });
    expect(limitsOf({ status: { code: 'UnprocessableEntity' } })).toMatchObject({ status: 422, grpcStatus: 2 });
  });

  test('without a bucket is for routes that have one', () => {
    const none = { token_bucket: undefined as unknown as Resource };
    expect(limitsOf(none)).toBeUndefined();
    expect(namesOf(none, { route: override(['local', local()]) })).toEqual(['r/all/route-0/local']);
  });

  test('of a route is a bucket of its own, of a virtual host one of all its routes', () => {
    const own = override(['local', local()]);
    const names = (levels: Levels, ...routes: Resource[]): (string | undefined)[] =>
      servedRoutes([named()], routes, levels).map(({ limits }) => limits?.rules[0]?.name);
    const plain = toCluster('c');
    expect(names({}, plain, plain)).toEqual(['l/local', 'l/local']);
    expect(names({ host: own }, plain, plain)).toEqual(['r/all/local', 'r/all/local']);
    expect(names({}, { ...plain, ...own }, { ...plain, ...own, name: 'n' })).toEqual([
      'r/all/route-0/local',
      'r/all/n/local',
    ]);
    // Names of routes need not be unique.
    expect(names({}, { ...plain, ...own, name: 'n' }, { ...plain, ...own, name: 'n' })).toEqual([
      'r/all/n/local',
      'r/all/n#2/local',
    ]);
  });

  test('is off for routes that switch it off', () => {
    const off = override(['local', any('envoy.config.route.v3.FilterConfig', { disabled: true })]);
    expect(limitsOf({}, { route: off })).toBeUndefined();
  });
});

describe('descriptors', () => {
  test('are limits for certain keys, beside the one for all', () => {
    const descriptors = [descriptor(3, ['user', 'a']), descriptor(4, ['user', 'b']), descriptor(5, ['other', 'a'])];
    expect(rulesOf({ descriptors }, limitedBy(header('user')))).toMatchObject([
      {
        name: 'l/local/user',
        key: [{ kind: 'header', name: 'x-user', as: 'user', absent: 'skip-rule' }],
        overrides: [
          { values: ['a'], limit: { burst: 3 } },
          { values: ['b'], limit: { burst: 4 } },
        ],
      },
      { name: 'l/local', limit: { burst: 10 } },
    ]);
    expect(rulesOf({ descriptors }, limitedBy(header('user')))[0]).not.toHaveProperty('limit');
  });

  test('without a value have a bucket for each value, after those that name one', () => {
    const descriptors = [
      descriptor(3, ['user']),
      descriptor(4, ['user', 'b']),
      descriptor(5, ['user', ''], ['x', 'y']),
    ];
    expect(rulesOf({ descriptors }, limitedBy(header('user')))[0]?.overrides).toMatchObject([
      { values: ['b'] },
      { values: [undefined] },
    ]);
    expect(rulesOf({ descriptors }, limitedBy(header('user'), header('x')))[0]?.overrides).toMatchObject([
      { values: [undefined, 'y'] },
    ]);
  });

  test('leave out the bucket for all where it is not always to be consumed', () => {
    const descriptors = [descriptor(3, ['a']), descriptor(3, ['b'])];
    const levels = { action: { rate_limits: [{ actions: [header('a')] }, { actions: [header('b')] }] } };
    const last = (always?: boolean): LimitRule | undefined =>
      rulesOf(
        { descriptors, ...(always !== undefined && { always_consume_default_token_bucket: { value: always } }) },
        levels,
      ).at(-1);
    expect(last(false)).toMatchObject({ name: 'l/local', unless: ['l/local/a', 'l/local/b'] });
    expect(last(true)).not.toHaveProperty('unless');
    expect(last()).not.toHaveProperty('unless');
    expect(rulesOf({ always_consume_default_token_bucket: { value: false } })[0]).not.toHaveProperty('unless');
  });

  test('must match all entries in their order, so that others do not count', () => {
    const descriptors = [descriptor(3, ['b', '1'], ['a', '1'])];
    expect(namesOf({ descriptors }, limitedBy(header('a'), header('b')))).toEqual(['l/local']);
    expect(namesOf({ descriptors }, limitedBy(header('b')))).toEqual(['l/local']);
    expect(namesOf({ descriptors }, {})).toEqual(['l/local']);
  });

  test('match what is left of a descriptor whose entries may be left out', () => {
    const descriptors = [descriptor(3, ['a'], ['b']), descriptor(4, ['b'])];
    const found = rulesOf({ descriptors }, limitedBy(header('a', true), header('b')));
    expect(found.map(({ name }) => name)).toEqual(['l/local/a+b', 'l/local/b', 'l/local']);
    expect(found[0]).not.toHaveProperty('when');
    expect(found[1]?.when).toMatchObject([{ headers: [{ name: 'x-a', match: { kind: 'present', present: false } }] }]);
  });

  test('of two rate limits that look alike count apart', () => {
    const levels = { action: { rate_limits: [{ actions: [header('a')] }, { actions: [header('a')] }] } };
    expect(namesOf({ descriptors: [descriptor(3, ['a'])] }, levels)).toEqual(['l/local/a', 'l/local/a#2', 'l/local']);
  });

  test('go by the filter’s own rate limits where it has some, and by its stage', () => {
    const descriptors = [descriptor(3, ['a']), descriptor(3, ['b'])];
    const rate_limits = [{ actions: [header('b')], hits_addend: { number: { value: 2 } } }];
    expect(rulesOf({ descriptors, rate_limits }, limitedBy(header('a')))).toMatchObject([
      { name: 'l/local/b', cost: 2 },
      { name: 'l/local' },
    ]);
    expect(namesOf({ descriptors, stage: 1 }, limitedBy(header('a')))).toEqual(['l/local']);
  });

  test('include those of the virtual host as the filter says', () => {
    const levels = { ...limitedBy(header('a')), host: { rate_limits: [{ actions: [header('b')] }] } };
    const descriptors = [descriptor(3, ['a']), descriptor(3, ['b'])];
    expect(namesOf({ descriptors }, levels)).toEqual(['l/local/a', 'l/local']);
    expect(namesOf({ descriptors, vh_rate_limits: 'INCLUDE' }, levels)).toEqual(['l/local/a', 'l/local/b', 'l/local']);
  });
});

const at = 'http_filters[0].typed_config';
const source = 'local_rate_limit.proto';
const notSupported = 'not supported';
const FILTER: readonly Rule[] = [
  { rule: 'there is no stat_prefix', source, resource: { stat_prefix: '' }, problem: `${at}.stat_prefix: must be set` },
  {
    rule: 'a bucket holds nothing',
    source: 'token_bucket.proto',
    resource: { token_bucket: bucket(0) },
    problem: `${at}.token_bucket.max_tokens: must be greater than 0`,
  },
  {
    rule: 'a bucket is never filled',
    source: 'token_bucket.proto',
    resource: { token_bucket: bucket(1, { tokens_per_fill: {} }) },
    problem: `${at}.token_bucket.tokens_per_fill: must be greater than 0`,
  },
  {
    rule: 'a bucket has no fill_interval',
    source: 'token_bucket.proto',
    resource: { token_bucket: { max_tokens: 1 } },
    problem: `${at}.token_bucket.fill_interval: must be set`,
  },
  {
    rule: 'a bucket is filled more often than every 50 ms',
    source,
    resource: { token_bucket: bucket(1, { fill_interval: { nanos: 49_000_000 } }) },
    problem: `${at}.token_bucket.fill_interval: must be at least 50 ms`,
  },
  {
    rule: 'filter_enabled has no default',
    source: 'base.proto',
    resource: { filter_enabled: { runtime_key: 'k' } },
    problem: `${at}.filter_enabled.default_value: must be set`,
  },
  {
    rule: 'a part of the refusals is enforced',
    source: notSupported,
    resource: { filter_enforced: { default_value: { numerator: 50 } } },
    problem: `${at}.filter_enforced: must be 0 % or 100 %`,
  },
  {
    rule: 'each connection has a bucket',
    source: notSupported,
    resource: { local_rate_limit_per_downstream_connection: true },
    problem: `${at}.local_rate_limit_per_downstream_connection: is not supported: counts are of the process; set it to false`,
  },
  {
    rule: 'processes share a bucket',
    source: notSupported,
    resource: { local_cluster_rate_limit: {} },
    problem: `${at}.local_cluster_rate_limit: is not supported`,
  },
  {
    rule: 'requests get headers in a shadowed limit',
    source: notSupported,
    resource: { request_headers_to_add_when_not_enforced: [{ header: { key: 'a', value: 'b' } }] },
    problem: `${at}.request_headers_to_add_when_not_enforced: is not supported; remove it`,
  },
  {
    rule: 'the stage is more than 10',
    source,
    resource: { stage: 11 },
    problem: `${at}.stage: must be at most 10, got 11`,
  },
  {
    rule: 'a descriptor has no entries',
    source: 'ratelimit.proto',
    resource: { descriptors: [descriptor(1)] },
    problem: `${at}.descriptors[0].entries: must have at least one`,
  },
  {
    rule: 'a descriptor has no bucket',
    source: 'ratelimit.proto',
    resource: { descriptors: [{ entries: [{ key: 'a' }] }] },
    problem: `${at}.descriptors[0].token_bucket: must be set`,
  },
  {
    rule: 'a descriptor’s entry has no key',
    source: 'ratelimit.proto',
    resource: { descriptors: [descriptor(1, ['', 'v'])] },
    problem: `${at}.descriptors[0].entries[0].key: must be set`,
  },
  {
    rule: 'a descriptor is repeated',
    source: 'Envoy',
    resource: { descriptors: [descriptor(1, ['a']), descriptor(2, ['a'])] },
    problem: `${at}.descriptors[1].entries: must not be repeated among the descriptors`,
  },
];
refusesBy('LDS client, LocalRateLimit', (fields: Resource) => limitsOf(fields), FILTER);

const OVERRIDE: readonly Rule[] = [
  {
    rule: 'the configuration of a route has no bucket',
    source,
    resource: { token_bucket: undefined as unknown as Resource },
    problem: 'typed_per_filter_config["local"].token_bucket: must be set in the configuration of a route',
  },
];
refusesBy(
  'RDS, LocalRateLimit',
  (fields: Resource) => limitsOf({}, { route: override(['local', local(fields)]) }),
  OVERRIDE,
);
