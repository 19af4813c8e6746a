import { describe, expect, test } from 'vitest';
import type { LimitKey, LimitRule } from '../../../src/core/model/limit.js';
import type { Route } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { filterOf, type Levels, override, servedRoute } from '../../support/route-filters.js';
import { refusal } from '../../support/refusal.js';
import { any, routeResource, toCluster } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';

const RATE_LIMIT = 'envoy.extensions.filters.http.ratelimit.v3.RateLimit';
const LOCAL = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const PER_ROUTE = 'envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute';

const service: Resource = { grpc_service: { envoy_grpc: { cluster_name: 'limits' } }, transport_api_version: 'V3' };
const rls = (fields: Resource = {}): Resource =>
  any(RATE_LIMIT, { domain: 'd', rate_limit_service: service, ...fields });
const generic = (descriptor_value: string, fields: Resource = {}): Resource => ({
  actions: [{ generic_key: { descriptor_value } }],
  ...fields,
});
const served = (levels: Levels, fields: Resource = {}): Route => servedRoute([filterOf('rls', rls(fields))], levels);
const rulesOf = (levels: Levels, fields: Resource = {}): readonly LimitRule[] =>
  served(levels, fields).limits?.rules ?? [];
const values = (levels: Levels, fields: Resource = {}): string[] =>
  rulesOf(levels, fields).flatMap(({ key }) => key.flatMap((entry) => (entry.kind === 'generic' ? [entry.value] : [])));
const keyOf = (...actions: Resource[]): readonly LimitKey[] | undefined =>
  rulesOf({ action: { rate_limits: [{ actions }] } })[0]?.key;

describe('a rate limit service (RateLimit)', () => {
  const action = { rate_limits: [generic('a')] };

  test('is asked for each rate limit of the route', () => {
    expect(served({ action: { rate_limits: [generic('a'), generic('b')] } }).limits).toEqual({
      rules: ['l/rls/generic_key', 'l/rls/generic_key#2'].map((name, i) => ({
        name,
        key: [{ kind: 'generic', as: 'generic_key', value: i === 0 ? 'a' : 'b' }],
        mode: 'enforce',
        store: { kind: 'rls', service: 'limits', domain: 'd', timeoutMs: 20 },
        onStoreFailure: 'allow',
      })),
      status: 429,
      grpcStatus: 14,
      headers: { xRateLimit: 'off', standard: false, xEnvoyRateLimited: true },
      failureStatus: 500,
    });
  });

  test('takes every field', () => {
    const found = served(
      { action },
      {
        timeout: { nanos: 250_000_000 },
        failure_mode_deny: true,
        rate_limited_as_resource_exhausted: true,
        enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
        rate_limited_status: { code: 'ServiceUnavailable' },
        status_on_error: { code: 'BadGateway' },
        response_headers_to_add: [{ header: { key: 'X-Limited', value: '100%%' } }],
        disable_x_envoy_ratelimited_header: true,
      },
    ).limits;
    expect(found).toMatchObject({
      rules: [{ store: { timeoutMs: 250 }, onStoreFailure: 'deny' }],
      status: 503,
      failureStatus: 502,
      grpcStatus: 8,
      headers: { xRateLimit: 'seconds', standard: false, xEnvoyRateLimited: false },
      refusalHeaders: [{ name: 'x-limited', value: '100%' }],
    });
  });

  test('is asked only for requests of its kind, by x-envoy-internal', () => {
    const header = (fields: Resource): unknown => rulesOf({ action }, fields)[0]?.when?.[0]?.headers[0];
    expect(header({ request_type: 'internal' })).toMatchObject({ name: 'x-envoy-internal', invert: false });
    expect(header({ request_type: 'external' })).toMatchObject({ invert: true, treatMissingAsEmpty: true });
    expect(rulesOf({ action }, { request_type: 'both' })[0]).not.toHaveProperty('when');
  });

  test('is asked for rate limits of its stage only', () => {
    const rate_limits = [generic('0'), generic('1', { stage: { value: 1 } })];
    expect(values({ action: { rate_limits } })).toEqual(['0']);
    expect(values({ action: { rate_limits } }, { stage: 1 })).toEqual(['1']);
    expect(served({ action: { rate_limits } }, { stage: 2 }).limits).toBeUndefined();
  });

  test('without a filter, rate limits come to nothing, and are not in what serves', () => {
    const route = servedRoute([], { action });
    expect(route.limits).toBeUndefined();
    expect(Object.keys(route)).not.toContain('rateLimits');
  });

  test('is asked by the domain of the route, where it has one', () => {
    const route = override(['rls', any(PER_ROUTE, { domain: 'mine' })]);
    expect(rulesOf({ action, route })[0]?.store).toMatchObject({ domain: 'mine' });
  });

  test('that is switched off is not asked, and one that is disabled only for routes that say something to it', () => {
    const off = override(['rls', any('envoy.config.route.v3.FilterConfig', { disabled: true })]);
    expect(served({ action, route: off }).limits).toBeUndefined();
    const disabled = [filterOf('rls', rls(), { disabled: true })];
    expect(servedRoute(disabled, { action }).limits).toBeUndefined();
    expect(servedRoute(disabled, { action, route: override(['rls', any(PER_ROUTE)]) }).limits?.rules).toHaveLength(1);
  });
});

describe('rate limits of the virtual host', () => {
  const host = { rate_limits: [generic('host')] };
  const action = { rate_limits: [generic('route')] };
  const option = (vh_rate_limits: string): Resource => override(['rls', any(PER_ROUTE, { vh_rate_limits })]);

  test.each<[string, Levels, string[]]>([
    ['count where the route has none', { host }, ['host']],
    ['do not where it has some', { host, action }, ['route']],
    [
      'do with include_vh_rate_limits',
      { host, action: { ...action, include_vh_rate_limits: { value: true } } },
      ['route', 'host'],
    ],
    ['do with INCLUDE', { host, action, route: option('INCLUDE') }, ['route', 'host']],
    ['do not with IGNORE', { host, route: option('IGNORE') }, []],
    [
      'count for a route that a server answers itself',
      { host, route: { route: undefined, non_forwarding_action: {} } },
      ['host'],
    ],
  ])('%s', (_, levels, expected) => {
    expect(values(levels)).toEqual(expected);
  });
});

describe('an action', () => {
  test.each<[string, Resource, object]>([
    ['source_cluster', { source_cluster: {} }, { kind: 'source', as: 'source_cluster', absent: 'skip-rule' }],
    [
      'destination_cluster',
      { destination_cluster: {} },
      { kind: 'destination', as: 'destination_cluster', absent: 'skip-rule' },
    ],
    [
      'request_headers',
      { request_headers: { header_name: 'X-User', descriptor_key: 'user' } },
      { kind: 'header', name: 'x-user', as: 'user', absent: 'skip-rule' },
    ],
    [
      'request_headers of a pseudo-header, left out where it is absent',
      { request_headers: { header_name: ':path', descriptor_key: 'path', skip_if_absent: true } },
      { kind: 'header', name: ':path', as: 'path', absent: 'skip-entry' },
    ],
    [
      'query_parameters',
      { query_parameters: { query_parameter_name: 'q', descriptor_key: 'query' } },
      { kind: 'query', name: 'q', as: 'query', absent: 'skip-rule' },
    ],
    ['remote_address', { remote_address: {} }, { kind: 'remote_address', as: 'remote_address', absent: 'skip-rule' }],
    [
      'masked_remote_address',
      { masked_remote_address: { v4_prefix_mask_len: { value: 16 } } },
      { kind: 'remote_address', as: 'masked_remote_address', absent: 'skip-rule', v4Bits: 16, v6Bits: 128 },
    ],
    [
      'generic_key with a key',
      { generic_key: { descriptor_value: 'v', descriptor_key: 'k' } },
      { kind: 'generic', as: 'k', value: 'v' },
    ],
    [
      'header_value_match',
      { header_value_match: { descriptor_value: 'v', headers: [{ name: 'x', present_match: true }] } },
      {
        kind: 'match',
        as: 'header_match',
        absent: 'skip-rule',
        value: 'v',
        expect: true,
        headers: [{ name: 'x', match: { kind: 'present', present: true }, invert: false, treatMissingAsEmpty: false }],
        query: [],
      },
    ],
    [
      'query_parameter_value_match',
      {
        query_parameter_value_match: {
          descriptor_value: 'v',
          descriptor_key: 'k',
          expect_match: { value: false },
          query_parameters: [{ name: 'q' }],
        },
      },
      {
        kind: 'match',
        as: 'k',
        absent: 'skip-rule',
        value: 'v',
        expect: false,
        headers: [],
        query: [{ name: 'q', match: { kind: 'present', present: true } }],
      },
    ],
  ])('%s is an entry of the key', (_, action, key) => {
    expect(keyOf(action)).toEqual([key]);
  });

  test('stands in the descriptor in its place', () => {
    expect(keyOf({ remote_address: {} }, { generic_key: { descriptor_value: 'v' } })?.map(({ as }) => as)).toEqual([
      'remote_address',
      'generic_key',
    ]);
  });
});

test('hits_addend says what a request counts, by a number or by a header', () => {
  const cost = (hits_addend: Resource) =>
    rulesOf({ action: { rate_limits: [generic('a', { hits_addend })] } })[0]?.cost;
  expect(cost({ number: { value: 5 } })).toBe(5);
  expect(cost({ number: {} })).toBe(0);
  expect(cost({ format: '%REQ(X-Cost)%' })).toEqual({ header: 'x-cost' });
  expect(cost({})).toBeUndefined();
});

const decodeRoutes = (action: Resource) =>
  decoders[ROUTE](routeResource('r', [toCluster('c', undefined, action)]), 'r');
const entry = (fields: Resource): Resource => ({ rate_limits: [fields] });
const acting = (action: Resource): Resource => entry({ actions: [action] });
const at = 'virtual_hosts[0].routes[0].route.rate_limits[0]';
const source = 'route_components.proto';
const ROUTES: readonly Rule[] = [
  {
    rule: 'a rate limit has no actions',
    source,
    resource: entry({}),
    problem: `${at}.actions: must have at least one`,
  },
  {
    rule: 'the stage is more than 10',
    source,
    resource: entry(generic('a', { stage: { value: 11 } })),
    problem: `${at}.stage: must be at most 10, got 11`,
  },
  {
    rule: 'request_headers has no descriptor_key',
    source,
    resource: acting({ request_headers: { header_name: 'a' } }),
    problem: `${at}.actions[0].request_headers.descriptor_key: must be set`,
  },
  {
    rule: 'request_headers names no header',
    source,
    resource: acting({ request_headers: { header_name: 'a b', descriptor_key: 'k' } }),
    problem: `${at}.actions[0].request_headers.header_name: must be a header name`,
  },
  {
    rule: 'generic_key has no value',
    source,
    resource: acting({ generic_key: {} }),
    problem: `${at}.actions[0].generic_key.descriptor_value: must be set`,
  },
  {
    rule: 'header_value_match has no headers',
    source,
    resource: acting({ header_value_match: { descriptor_value: 'v' } }),
    problem: `${at}.actions[0].header_value_match.headers: must have at least one`,
  },
  {
    rule: 'query_parameter_value_match has no parameters',
    source,
    resource: acting({ query_parameter_value_match: { descriptor_value: 'v' } }),
    problem: 'query_parameter_value_match.query_parameters: must have at least one',
  },
  {
    rule: 'a mask is longer than an address',
    source,
    resource: acting({ masked_remote_address: { v6_prefix_mask_len: { value: 129 } } }),
    problem: 'masked_remote_address.v6_prefix_mask_len: must be at most 128, got 129',
  },
  {
    rule: 'hits_addend has both of its fields',
    source,
    resource: entry(generic('a', { hits_addend: { number: { value: 1 }, format: '%REQ(a)%' } })),
    problem: `${at}.hits_addend: only one of number, format may be set`,
  },
  {
    rule: 'hits_addend is more than a thousand million',
    source,
    resource: entry(generic('a', { hits_addend: { number: { value: 1_000_000_001 } } })),
    problem: `${at}.hits_addend.number: must be at most 1000000000, got 1000000001`,
  },
  {
    rule: 'the format of hits_addend is not between percent signs',
    source,
    resource: entry(generic('a', { hits_addend: { format: 'REQ(a)%' } })),
    problem: `${at}.hits_addend.format: must begin and end with %`,
  },
  {
    rule: 'an action beside one that is not supported is wrong',
    source,
    resource: entry({ actions: [{ extension: { name: 'x' } }, { generic_key: {} }] }),
    problem: `${at}.actions[1].generic_key.descriptor_value: must be set`,
  },
];
refusesBy('RDS, rate_limits', decodeRoutes, ROUTES);

const ROUTES_ACCEPTED: readonly Leniency[] = [
  {
    rule: 'a rate limit has runtime keys and an override from metadata, which no request has',
    source,
    resource: entry(generic('a', { disable_key: 'k', limit: { dynamic_metadata: { metadata_key: { key: 'x' } } } })),
  },
];
acceptsBy('RDS, rate_limits', decodeRoutes, ROUTES_ACCEPTED);

const actions = (...list: Resource[]): Resource => ({ actions: list });
/** What we do not count by, and why; `at` is where. */
const NOT_SUPPORTED: readonly [string, Resource, string][] = [
  [
    'counts when the reply has ended',
    generic('a', { apply_on_stream_done: true }),
    '.apply_on_stream_done: is not supported: requests are counted when they come; set it to false',
  ],
  [
    'has an action that is none of those known',
    actions({}),
    '.actions[0]: is not supported; use one of source_cluster',
  ],
  [
    'takes dynamic metadata, which no request has',
    actions({ remote_address: {} }, { metadata: { descriptor_key: 'k', metadata_key: { key: 'x' } } }),
    '.actions[1].metadata: is not supported; use one of',
  ],
  [
    'has an action that is an extension',
    actions({ extension: { name: 'x' } }),
    '.actions[0].extension: is not supported',
  ],
  [
    'takes its hits from something else than a header',
    generic('a', { hits_addend: { format: '%BYTES_RECEIVED%' } }),
    '.hits_addend.format: must name a header of the request, as %REQ(x-cost)% does',
  ],
  [
    'has more hits than are counted at once',
    generic('a', { hits_addend: { number: { value: 1_000_001 } } }),
    '.hits_addend.number: must be at most 1000000, got 1000001',
  ],
  [
    'has more than 16 actions',
    actions(...Array.from({ length: 17 }, () => ({ remote_address: {} }))),
    '.actions: must have at most 16, got 17',
  ],
];

describe.each(NOT_SUPPORTED)('a rate limit that %s', (_, limit, problem) => {
  const action = entry(limit);

  test('is nothing to a listener whose filters do not count by it', () => {
    expect(decodeRoutes(action)).toBeDefined();
    for (const filters of [[], [filterOf('rls', rls({ stage: 1 }))], [filterOf('rls', rls(), { disabled: true })]])
      expect(servedRoute(filters, { action })).toMatchObject({ action: { kind: 'forward' } });
  });

  test('makes the route unservable where a filter would count by it, and says where it is', () => {
    const { action: found, limits } = served({ action });
    const reason = `its rate limits are not supported: ${at}${problem}`;
    expect(found).toEqual({ kind: 'unservable', reason: expect.stringContaining(reason) });
    expect(limits).toBeUndefined();
  });
});

describe('an unsupported rate limit', () => {
  const unsupported = actions({ extension: { name: 'x' } });
  const off = override(['rls', any('envoy.config.route.v3.FilterConfig', { disabled: true })]);

  test('of the virtual host counts for the routes that use it', () => {
    const host = { rate_limits: [unsupported] };
    expect(served({ host }).action).toMatchObject({
      kind: 'unservable',
      reason: expect.stringContaining('virtual_hosts[0].rate_limits[0].actions[0].extension'),
    });
    expect(values({ host, action: { rate_limits: [generic('a')] } })).toEqual(['a']);
  });

  test('is nothing to routes that switch the filter off', () => {
    expect(served({ action: entry(unsupported), route: off }).action).toMatchObject({ kind: 'forward' });
  });

  test('that counts for one of the clusters only makes the route unservable all the same', () => {
    const clusters = [
      { name: 'a', weight: { value: 1 } },
      { name: 'b', weight: { value: 1 }, ...override(['rls', any(PER_ROUTE)]) },
    ];
    const route = { route: { weighted_clusters: { clusters }, ...entry(unsupported) }, ...off };
    expect(served({ route }).action).toMatchObject({ kind: 'unservable' });
  });

  test('matters to local limits only where they have descriptors', () => {
    const percent = { default_value: { numerator: 100 } };
    const local = (fields: Resource): Route => {
      const token_bucket = { max_tokens: 1, fill_interval: { seconds: 1 } };
      const config = { stat_prefix: 's', token_bucket, filter_enabled: percent, filter_enforced: percent, ...fields };
      const filters = [filterOf('local', any(LOCAL, config))];
      return servedRoute(filters, { action: entry(unsupported) });
    };
    expect(local({}).limits?.rules).toHaveLength(1);
    const descriptors = [{ entries: [{ key: 'a' }], token_bucket: { max_tokens: 1, fill_interval: { seconds: 1 } } }];
    expect(local({ descriptors }).action).toMatchObject({ kind: 'unservable' });
    expect(local({ descriptors, stage: 1 }).action).toMatchObject({ kind: 'forward' });
    expect(local({ descriptors, rate_limits: [generic('a')] }).action).toMatchObject({ kind: 'forward' });
    expect(refusal(() => local({ descriptors, rate_limits: [unsupported] }))).toContain(
      'http_filters[0].typed_config.rate_limits[0].actions[0].extension: is not supported',
    );
  });

  test('is one of more than 64 of a route', () => {
    const rate_limits = Array.from({ length: 65 }, (_, i) => generic(String(i)));
    expect(servedRoute([], { action: { rate_limits } }).action).toMatchObject({ kind: 'forward' });
    expect(served({ action: { rate_limits } }).action).toMatchObject({
      reason: expect.stringContaining('route.rate_limits: must have at most 64, got 65'),
    });
  });
});

const filter = 'http_filters[0].typed_config';
const proto = 'rate_limit.proto';
const FILTER: readonly Rule[] = [
  {
    rule: 'a rate limit service has no domain',
    source: proto,
    resource: { domain: '' },
    problem: `${filter}.domain: must be set`,
  },
  {
    rule: 'the filter’s stage is more than 10',
    source: proto,
    resource: { stage: 11 },
    problem: `${filter}.stage: must be at most 10`,
  },
  {
    rule: 'request_type is something else',
    source: proto,
    resource: { request_type: 'all' },
    problem: `${filter}.request_type: must be internal, external or both, got "all"`,
  },
  {
    rule: 'a call would wait forever for a rate limit service',
    source: 'not supported',
    resource: { timeout: {} },
    problem: `${filter}.timeout: must be from 1 ms to 60000 ms, got 0 ms`,
  },
  {
    rule: 'there is no rate limit service',
    source: proto,
    resource: { rate_limit_service: undefined } as unknown as Resource,
    problem: `${filter}.rate_limit_service: must be set`,
  },
  {
    rule: 'the rate limit service speaks the API of before',
    source: 'rls.proto',
    resource: { rate_limit_service: { ...service, transport_api_version: 'V2' } },
    problem: `${filter}.rate_limit_service.transport_api_version: must be V3`,
  },
  {
    rule: 'the rate limit service is no cluster',
    source: 'not supported',
    resource: { rate_limit_service: { grpc_service: { google_grpc: { target_uri: 'x' } } } },
    problem: `${filter}.rate_limit_service.grpc_service.envoy_grpc: must be set to the cluster of the service; google_grpc is not supported`,
  },
  {
    rule: 'the cluster of the rate limit service has no name',
    source: 'grpc_service.proto',
    resource: { rate_limit_service: { grpc_service: { envoy_grpc: {} } } },
    problem: `${filter}.rate_limit_service.grpc_service.envoy_grpc.cluster_name: must be set`,
  },
  {
    rule: 'a header of refusals takes its value from elsewhere',
    source: 'not supported',
    resource: { response_headers_to_add: [{ header: { key: 'a', value: '%REQ(b)%' } }] },
    problem: `${filter}.response_headers_to_add[0].header: must have a value without substitutions`,
  },
  {
    rule: 'there are more than 10 headers of refusals',
    source: proto,
    resource: { response_headers_to_add: Array.from({ length: 11 }, () => ({ header: { key: 'a', value: 'b' } })) },
    problem: `${filter}.response_headers_to_add: must have at most 10, got 11`,
  },
];
refusesBy('LDS client, RateLimit', (fields: Resource) => served({}, fields), FILTER);

const OVERRIDES: readonly Rule[] = [
  {
    rule: 'RateLimitPerRoute has rate limits of its own',
    source: 'not supported',
    resource: { rate_limits: [{ actions: [{ remote_address: {} }] }] },
    problem: 'typed_per_filter_config["rls"].rate_limits: is not supported; use rate_limits of the route action',
  },
  {
    rule: 'RateLimitPerRoute has an override_option, which Envoy does not look at',
    source: 'not supported',
    resource: { override_option: 'INCLUDE_POLICY' },
    problem: 'typed_per_filter_config["rls"].override_option: is not supported; use vh_rate_limits',
  },
];
refusesBy(
  'RDS, RateLimitPerRoute',
  (fields: Resource) => served({ route: override(['rls', any(PER_ROUTE, fields)]) }),
  OVERRIDES,
);
