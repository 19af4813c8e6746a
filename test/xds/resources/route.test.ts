import { describe, expect, test } from 'vitest';
import type { ForwardAction, Route } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, routeResource, toCluster } from '../../support/xds-resources.js';

const decodeConfig = (config: Resource) => decoders[ROUTE](config, 'r');
const decodeRoutes = (routes: readonly Resource[], host: Resource = {}): readonly Route[] =>
  decodeConfig(routeResource('r', routes, host)).virtualHosts[0]?.routes ?? [];
const decodeRoute = (route: Resource, host: Resource = {}): Route => {
  const [found] = decodeRoutes([route], host);
  if (found === undefined) throw new Error('the route was ignored');
  return found;
};
const forward = (action: Resource, match: Resource = { prefix: '/' }, host: Resource = {}): ForwardAction => {
  const route = decodeRoute(toCluster('c', match, action), host);
  if (route.action.kind !== 'forward') throw new Error(`${route.action.kind} is no forward action`);
  return route.action;
};
const matched = (match: Resource) => decodeRoute(toCluster('c', match)).match;
const R0 = 'virtual_hosts[0].routes[0]';

describe('path matches', () => {
  test.each<[Resource, unknown]>([
    [{ prefix: '/a' }, { kind: 'prefix', value: '/a', ignoreCase: false }],
    [{ prefix: '' }, { kind: 'prefix', value: '', ignoreCase: false }],
    [
      { path: '/a', case_sensitive: { value: false } },
      { kind: 'exact', value: '/a', ignoreCase: true },
    ],
    [
      { path: '/a', case_sensitive: { value: true } },
      { kind: 'exact', value: '/a', ignoreCase: false },
    ],
    [
      { path: '/a', case_sensitive: {} },
      { kind: 'exact', value: '/a', ignoreCase: true },
    ],
    [{ path_separated_prefix: '/a' }, { kind: 'segments', value: '/a', ignoreCase: false }],
  ])('%j', (match, path) => {
    expect(matched(match).path).toEqual(path);
  });

  test('an expression must match the whole path', () => {
    const { path } = matched({ safe_regex: { google_re2: {}, regex: '/a[0-9]' } });
    if (path.kind !== 'regex') throw new Error(path.kind);
    expect(['/a1', '/a12', 'x/a1'].map((text) => path.regex.matches(text))).toEqual([true, false, false]);
  });
});

describe('header matches', () => {
  const header = (fields: Resource) => matched({ prefix: '/', headers: [{ name: 'X-Env', ...fields }] }).headers[0];
  test.each<[Resource, unknown]>([
    [{ exact_match: 'a' }, { kind: 'exact', value: 'a', ignoreCase: false }],
    [{ prefix_match: 'a' }, { kind: 'prefix', value: 'a', ignoreCase: false }],
    [{ suffix_match: 'a' }, { kind: 'suffix', value: 'a', ignoreCase: false }],
    [{ contains_match: 'a' }, { kind: 'contains', value: 'a', ignoreCase: false }],
    [{ string_match: { exact: 'a', ignore_case: true } }, { kind: 'exact', value: 'a', ignoreCase: true }],
    [{ string_match: { suffix: 'a' } }, { kind: 'suffix', value: 'a', ignoreCase: false }],
    [{ range_match: { start: '-5', end: 10 } }, { kind: 'range', start: -5, end: 10 }],
    [{ present_match: true }, { kind: 'present', present: true }],
    [{ present_match: false }, { kind: 'present', present: false }],
  ])('%j', (fields, match) => {
    expect(header(fields)).toEqual({ name: 'x-env', match, invert: false, treatMissingAsEmpty: false });
  });

  test('safe_regex_match is an expression for the whole value', () => {
    const found = header({ safe_regex_match: { regex: 'a|b' } });
    expect(
      found?.match.kind === 'regex' &&
        ['a', 'b', 'ab'].map((text) => (found.match as { regex: { matches(t: string): boolean } }).regex.matches(text)),
    ).toEqual([true, true, false]);
  });

  test('invert_match and treat_missing_header_as_empty are kept', () => {
    expect(header({ exact_match: '', invert_match: true, treat_missing_header_as_empty: true })).toMatchObject({
      invert: true,
      treatMissingAsEmpty: true,
    });
  });

  test('pseudo-headers are matched', () => {
    expect(matched({ prefix: '/', headers: [{ name: ':method', exact_match: 'GET' }] }).headers[0]?.name).toBe(
      ':method',
    );
  });
});

describe('other matches', () => {
  test('query parameters are matched, as Envoy does', () => {
    const query = [{ name: 'a', string_match: { exact: '1' } }, { name: 'b', present_match: false }, { name: 'c' }];
    expect(matched({ prefix: '/', query_parameters: query }).query).toEqual([
      { name: 'a', match: { kind: 'exact', value: '1', ignoreCase: false } },
      { name: 'b', match: { kind: 'present', present: false } },
      { name: 'c', match: { kind: 'present', present: true } },
    ]);
  });

  test.each<[Resource, number]>([
    [{ default_value: { numerator: 25 } }, 0.25],
    [{ default_value: { numerator: 25, denominator: 'TEN_THOUSAND' }, runtime_key: 'ignored' }, 0.0025],
    [{ default_value: { numerator: 1, denominator: 'MILLION' } }, 0.000001],
    [{ default_value: { numerator: 300 } }, 1],
    [{ default_value: {} }, 0],
  ])('runtime_fraction %j', (runtime_fraction, share) => {
    expect(matched({ prefix: '/', runtime_fraction }).fraction).toBeCloseTo(share, 12);
  });

  test('grpc: {} is for gRPC requests only, and without a fraction all match', () => {
    expect(matched({ prefix: '/', grpc: {} })).toMatchObject({ grpcOnly: true, fraction: 1 });
    expect(matched({ prefix: '/' })).toMatchObject({ grpcOnly: false, headers: [], query: [] });
  });
});

describe('a route is ignored, and the others stand', () => {
  test.each<[string, Resource]>([
    ['cluster_header', { match: { prefix: '/' }, route: { cluster_header: 'x' } }],
    ['no cluster specifier', { match: { prefix: '/' }, route: {} }],
    [
      'a weighted cluster by header',
      {
        match: { prefix: '/' },
        route: { weighted_clusters: { clusters: [{ cluster_header: 'x', weight: { value: 1 } }] } },
      },
    ],
    ['dynamic_metadata', { match: { prefix: '/', dynamic_metadata: [{}] }, route: { cluster: 'c' } }],
    [
      'an optional inline plugin',
      { match: { prefix: '/' }, route: { inline_cluster_specifier_plugin: { is_optional: true } } },
    ],
  ])('%s', (_, route) => {
    expect(decodeRoutes([route, toCluster('c')]).map(({ name }) => name)).toEqual(['route-1']);
  });

  test('an optional cluster specifier plugin', () => {
    const config = {
      ...routeResource('r', [{ match: { prefix: '/' }, route: { cluster_specifier_plugin: 'rls' } }, toCluster('c')]),
      cluster_specifier_plugins: [{ extension: { name: 'rls', typed_config: any('x.Y') }, is_optional: true }],
    };
    expect(decodeConfig(config).virtualHosts[0]?.routes).toHaveLength(1);
  });
});

describe('actions', () => {
  test('a single cluster has all the weight', () => {
    expect(forward({})).toEqual({
      kind: 'forward',
      clusters: [{ name: 'c', weight: 1, requestHeaders: undefined, responseHeaders: undefined }],
      totalWeight: 1,
      timeoutMs: undefined,
      maxStreamDurationMs: undefined,
      retry: undefined,
      pathRewrite: undefined,
      hostRewrite: undefined,
    });
  });

  test('weighted clusters keep their weights, without those of weight 0', () => {
    const clusters = [
      ['a', 90],
      ['b', 0],
      ['c', 10],
    ].map(([name, value]) => ({ name, weight: { value } }));
    const { action } = decodeRoute({ match: { prefix: '/' }, route: { weighted_clusters: { clusters } } });
    expect(action).toMatchObject({
      totalWeight: 100,
      clusters: [
        { name: 'a', weight: 90 },
        { name: 'c', weight: 10 },
      ],
    });
  });

  test('timeouts: 0 is kept as 0, unset as unset', () => {
    expect(forward({ timeout: {}, max_stream_duration: { max_stream_duration: { seconds: '2' } } })).toMatchObject({
      timeoutMs: 0,
      maxStreamDurationMs: 2_000,
    });
    const both = { grpc_timeout_header_max: { nanos: 1_000_000 }, max_stream_duration: { seconds: 2 } };
    expect(forward({ max_stream_duration: both }).maxStreamDurationMs).toBe(1);
    expect(forward({ max_stream_duration: { ...both, grpc_timeout_header_max: {} } }).maxStreamDurationMs).toBe(0);
  });

  test('rewriting of paths and hosts', () => {
    expect(forward({ prefix_rewrite: '/b' }, { prefix: '/a' }).pathRewrite).toEqual({ kind: 'prefix', value: '/b' });
    expect(forward({ prefix_rewrite: '/b' }, { path_separated_prefix: '/a' }).pathRewrite?.kind).toBe('prefix');
    expect(forward({ prefix_rewrite: '/b' }, { path: '/a' }).pathRewrite).toEqual({ kind: 'full', value: '/b' });
    const regex = forward({ regex_rewrite: { pattern: { regex: '^/(\\w+)/(\\w+)' }, substitution: '/\\2/\\1\\\\' } });
    if (regex.pathRewrite?.kind !== 'regex') throw new Error('no expression');
    expect(regex.pathRewrite.regex.replaceAll('/a/b/c', regex.pathRewrite.substitution)).toBe('/b/a\\/c');
    expect(forward({ host_rewrite_literal: 'x:80' }).hostRewrite).toEqual({ kind: 'literal', value: 'x:80' });
    expect(forward({ auto_host_rewrite: { value: true } }).hostRewrite).toEqual({ kind: 'endpoint' });
    expect(forward({ auto_host_rewrite: { value: false } }).hostRewrite).toBeUndefined();
  });

  test('a redirect', () => {
    const redirect = {
      https_redirect: true,
      host_redirect: 'h',
      port_redirect: 8443,
      path_redirect: '/x',
      strip_query: true,
    };
    expect(decodeRoute({ match: { prefix: '/' }, redirect }).action).toEqual({
      kind: 'redirect',
      status: 301,
      scheme: 'https',
      host: 'h',
      port: 8443,
      path: { kind: 'full', value: '/x' },
      stripQuery: true,
    });
    expect(
      decodeRoute({ match: { prefix: '/' }, redirect: { response_code: 'PERMANENT_REDIRECT' } }).action,
    ).toMatchObject({
      status: 308,
      scheme: undefined,
      host: undefined,
      port: undefined,
      path: undefined,
    });
  });

  test('a direct response', () => {
    const { action } = decodeRoute({
      match: { prefix: '/' },
      direct_response: { status: 418, body: { inline_string: 'té' } },
    });
    expect(action).toMatchObject({ kind: 'direct', status: 418 });
    expect(action.kind === 'direct' && Buffer.from(action.body).toString()).toBe('té');
  });

  test('non_forwarding_action matches, and is for servers (A36)', () => {
    expect(decodeRoute({ match: { prefix: '/' }, non_forwarding_action: {} }).action).toEqual({
      kind: 'non_forwarding',
    });
  });

  test('filter_action and none at all match, and cannot be served', () => {
    for (const action of [{ filter_action: {} }, {}]) {
      expect(decodeRoute({ name: 'n', match: { prefix: '/' }, ...action })).toMatchObject({
        name: 'n',
        action: { kind: 'unservable' },
      });
    }
  });
});

describe('retry policies', () => {
  const retry = (retry_policy: Resource) => forward({ retry_policy }).retry;

  test('names of both protocols are trimmed, folded and, when unknown, ignored', () => {
    expect([...(retry({ retry_on: ' 5xx, Unavailable ,CONNECT-FAILURE,nonsense,' })?.on ?? [])]).toEqual([
      '5xx',
      'unavailable',
      'connect-failure',
    ]);
  });

  test('defaults: one retry, 25 ms to 250 ms, no limit per attempt', () => {
    expect(retry({ retry_on: '5xx' })).toMatchObject({
      maxRetries: 1,
      baseMs: 25,
      maxMs: 250,
      perTryTimeoutMs: undefined,
      regardlessOfMethod: true,
    });
  });

  test('everything set', () => {
    const policy = {
      retry_on: 'retriable-status-codes',
      num_retries: { value: 3 },
      per_try_timeout: { nanos: 250_000_000 },
      retriable_status_codes: [409, 503],
      retry_back_off: { base_interval: { seconds: 1 }, max_interval: { seconds: 5 } },
    };
    expect(retry(policy)).toMatchObject({ maxRetries: 3, perTryTimeoutMs: 250, baseMs: 1_000, maxMs: 5_000 });
    expect([...(retry(policy)?.statusCodes ?? [])]).toEqual([409, 503]);
  });

  test('a base of one second is 1000 ms, its maximum ten times that, and less than 1 ms is 1 ms', () => {
    expect(retry({ retry_back_off: { base_interval: { seconds: 1 } } })).toMatchObject({
      baseMs: 1_000,
      maxMs: 10_000,
    });
    expect(retry({ retry_back_off: { base_interval: { nanos: 1 } } })).toMatchObject({ baseMs: 1, maxMs: 10 });
  });

  test('an empty policy says never, which is not the same as none', () => {
    expect(retry({})?.on.size).toBe(0);
    expect(forward({}).retry).toBeUndefined();
  });

  test('a virtual host’s policy is for routes that have none, and is not mixed with one (A44)', () => {
    const host = { retry_policy: { retry_on: '5xx', num_retries: { value: 9 } } };
    expect(forward({}, { prefix: '/' }, host).retry?.maxRetries).toBe(9);
    expect(forward({ retry_policy: { retry_on: 'reset' } }, { prefix: '/' }, host).retry?.maxRetries).toBe(1);
  });
});

describe('a route configuration is refused', () => {
  const match = { prefix: '/' };
  const weights = (...values: number[]) => ({
    match,
    route: { weighted_clusters: { clusters: values.map((value) => ({ name: 'a', weight: { value } })) } },
  });
  test.each<[string, () => unknown, string]>([
    ['without a match', () => decodeRoute({ route: { cluster: 'c' } }), `${R0}.match: must be set`],
    ['without a path specifier', () => matched({}), `${R0}.match: must have one of prefix`],
    ['with connect_matcher', () => matched({ connect_matcher: {} }), `${R0}.match: must have one of prefix`],
    [
      'with two path specifiers',
      () => matched({ prefix: '/', path: '/' }),
      `${R0}.match: only one of prefix, path may be set`,
    ],
    [
      'when an expression for a path does not compile',
      () => matched({ safe_regex: { regex: '[' } }),
      `${R0}.match.safe_regex.regex: error parsing regexp`,
    ],
    [
      'when an expression for a header does not compile',
      () => matched({ prefix: '/', headers: [{ name: 'x', safe_regex_match: { regex: '(' } }] }),
      `${R0}.match.headers[0].safe_regex_match.regex`,
    ],
    [
      'when an expression in a string matcher does not compile',
      () => matched({ prefix: '/', query_parameters: [{ name: 'x', string_match: { safe_regex: { regex: 'a**' } } }] }),
      `${R0}.match.query_parameters[0].string_match.safe_regex.regex`,
    ],
    [
      'when a header matcher is not known',
      () => matched({ prefix: '/', headers: [{ name: 'x', future_match: 1 }] }),
      `${R0}.match.headers[0]: must have one of exact_match`,
    ],
    [
      'when a header prefix is empty',
      () => matched({ prefix: '/', headers: [{ name: 'x', prefix_match: '' }] }),
      `${R0}.match.headers[0].prefix_match: must be set and not empty`,
    ],
    [
      'when a header has no name',
      () => matched({ prefix: '/', headers: [{ present_match: true }] }),
      `${R0}.match.headers[0].name`,
    ],
    [
      'when path_separated_prefix ends in a slash',
      () => matched({ path_separated_prefix: '/a/' }),
      `${R0}.match.path_separated_prefix`,
    ],
    [
      'when a denominator is not known',
      () => matched({ prefix: '/', runtime_fraction: { default_value: { denominator: 7 } } }),
      `${R0}.match.runtime_fraction.default_value.denominator: must be one of HUNDRED`,
    ],
    [
      'when weights add up to 0',
      () => decodeRoute(weights(0, 0)),
      `${R0}.route.weighted_clusters.clusters: weights must add up to 1 or more`,
    ],
    [
      'when weights add up to more than 2^32-1',
      () => decodeRoute(weights(4_294_967_295, 1)),
      `${R0}.route.weighted_clusters.clusters: weights must add up to at most 4294967295`,
    ],
    [
      'when a weight is no uint32',
      () => decodeRoute(weights(-1)),
      `${R0}.route.weighted_clusters.clusters[0].weight.value: must be a whole number`,
    ],
    [
      'when num_retries is 0',
      () => forward({ retry_policy: { num_retries: {} } }),
      `${R0}.route.retry_policy.num_retries: must be greater than 0`,
    ],
    [
      'when the back-off’s base is 0',
      () => forward({ retry_policy: { retry_back_off: { base_interval: {} } } }),
      `${R0}.route.retry_policy.retry_back_off.base_interval: must be greater than 0`,
    ],
    [
      'when the back-off has no base',
      () => forward({ retry_policy: { retry_back_off: {} } }),
      `${R0}.route.retry_policy.retry_back_off.base_interval`,
    ],
    [
      'when the back-off’s maximum is 0',
      () => forward({ retry_policy: { retry_back_off: { base_interval: { seconds: 1 }, max_interval: {} } } }),
      'max_interval: must be greater than 0',
    ],
    [
      'when the back-off’s maximum is less than its base',
      () =>
        forward({ retry_policy: { retry_back_off: { base_interval: { seconds: 2 }, max_interval: { seconds: 1 } } } }),
      'max_interval: must not be less than base_interval',
    ],
    [
      'when a duration is negative',
      () => forward({ timeout: { seconds: -1 } }),
      `${R0}.route.timeout: must be a duration of 0 s or more`,
    ],
    [
      'when a cluster specifier plugin is not optional',
      () => decodeConfig({ name: 'r', cluster_specifier_plugins: [{ extension: { name: 'x' } }] }),
      'cluster_specifier_plugins[0]: cluster specifier plugins are not supported',
    ],
    [
      'when a route names a plugin that is not declared',
      () => forwardTo({ cluster_specifier_plugin: 'x' }),
      `${R0}.route.cluster_specifier_plugin: names "x"`,
    ],
    [
      'when a cluster’s name is empty',
      () => forwardTo({ cluster: '' }),
      `${R0}.route.cluster: must be set and not empty`,
    ],
    [
      'when a domain is malformed',
      () => decodeConfig({ name: 'r', virtual_hosts: [{ domains: ['a*b'] }] }),
      'virtual_hosts[0].domains[0]: must have at most one "*"',
    ],
    [
      'when a domain is empty',
      () => decodeConfig({ name: 'r', virtual_hosts: [{ domains: [''] }] }),
      'virtual_hosts[0].domains[0]: must not be empty',
    ],
    [
      'when a virtual host has no domain',
      () => decodeConfig({ name: 'r', virtual_hosts: [{ name: 'x' }] }),
      'virtual_hosts[0].domains: must have at least one',
    ],
    [
      'when a domain is repeated, whatever its case',
      () => decodeConfig({ name: 'r', virtual_hosts: [{ domains: ['a'] }, { domains: ['A'] }] }),
      'virtual_hosts[1].domains[0]: must be unique',
    ],
    [
      'when a filter override is unknown and not optional',
      () => decodeRoute({ ...toCluster('c'), typed_per_filter_config: { x: any('x.Y') } }),
      `${R0}.typed_per_filter_config["x"]: override for filter "x.Y"`,
    ],
    [
      'when a virtual host’s matcher tree is used',
      () => decodeRoutes([], { matcher: {} }),
      'virtual_hosts[0].matcher: is not supported',
    ],
    ['when virtual hosts are on demand', () => decodeConfig({ name: 'r', vhds: {} }), 'vhds: on-demand'],
    [
      'when a direct response is larger than 4096 bytes',
      () => decodeRoute({ match, direct_response: { status: 200, body: { inline_string: 'x'.repeat(4_097) } } }),
      `${R0}.direct_response.body: must be at most 4096 bytes`,
    ],
    [
      'when a direct response is to come from a file',
      () => decodeRoute({ match, direct_response: { status: 200, body: { filename: '/etc/passwd' } } }),
      `${R0}.direct_response.body: must be inline_bytes or inline_string`,
    ],
    [
      'when a status is none',
      () => decodeRoute({ match, direct_response: { status: 99 } }),
      `${R0}.direct_response.status: must be a status`,
    ],
    [
      'when a rewritten path has no leading slash',
      () => forward({ prefix_rewrite: 'x' }),
      `${R0}.route.prefix_rewrite: must be a path that begins with "/"`,
    ],
    [
      'when both rewrites are given',
      () => forward({ prefix_rewrite: '/x', regex_rewrite: {} }),
      `${R0}.route: only one of prefix_rewrite, regex_rewrite`,
    ],
    [
      'when a substitution names a group that is not there',
      () => forward({ regex_rewrite: { pattern: { regex: 'a' }, substitution: '\\1' } }),
      `${R0}.route.regex_rewrite.substitution: \\1 names a group`,
    ],
    [
      'when a rewritten host has a line break',
      () => forward({ host_rewrite_literal: 'a\r\nb' }),
      `${R0}.route.host_rewrite_literal`,
    ],
    [
      'when the host is to come from what is no header',
      () => forward({ host_rewrite_header: 'x y' }),
      `${R0}.route.host_rewrite_header: must be a header name`,
    ],
  ])('%s', (_, read, message) => {
    expect(refusal(read)).toContain(message);
  });

  const forwardTo = (action: Resource) => decodeRoute({ match, route: action });
});

describe('filter overrides', () => {
  const overridden = (config: Resource) =>
    decodeRoute({ ...toCluster('c'), typed_per_filter_config: { x: config } }).name;
  const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';
  test.each<[string, Resource]>([
    ['optional', any(FILTER_CONFIG, { is_optional: true, config: any('x.Y') })],
    ['disabled', any(FILTER_CONFIG, { disabled: true, config: any('x.Y') })],
    ['for a filter that only servers run', any('envoy.extensions.filters.http.rbac.v3.RBACPerRoute')],
    [
      'a fault that does nothing',
      any(FILTER_CONFIG, { config: any('envoy.extensions.filters.http.fault.v3.HTTPFault') }),
    ],
  ])('without effect: %s', (_, config) => {
    expect(overridden(config)).toBe('route-0');
  });
});
