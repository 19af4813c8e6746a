import { describe, expect, test } from 'vitest';
import type { RouteConfiguration } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { decodersByType } from '../../support/decoders.js';
import { type Exception, expectAccepted, expectRefused, type Rule } from '../../support/rules.js';
import { any, routeResource, toCluster } from '../../support/xds-resources.js';

const one = (route: Resource, host: Resource = {}): Resource => routeResource('r', [route], host);
const match = (fields: Resource): Resource => one(toCluster('c', fields));
const header = (fields: Resource): Resource => match({ prefix: '/', headers: [{ name: 'x', ...fields }] });
const action = (fields: Resource): Resource => one({ match: { prefix: '/' }, route: { cluster: 'c', ...fields } });
const retry = (retry_policy: Resource): Resource => action({ retry_policy });
const backOff = (retry_back_off: Resource): Resource => retry({ retry_on: 'unavailable', retry_back_off });
const weights = (...values: number[]): Resource =>
  one({
    match: { prefix: '/' },
    route: { weighted_clusters: { clusters: values.map((value, i) => ({ name: `c${i}`, weight: { value } })) } },
  });
const plugins = (route: Resource, ...cluster_specifier_plugins: Resource[]): Resource => ({
  ...one({ match: { prefix: '/' }, route }),
  cluster_specifier_plugins,
});
const domains = (...names: string[]): Resource => ({
  name: 'r',
  virtual_hosts: [{ name: 'v', domains: names, routes: [] }],
});
const override = { x: any('x.Unknown') };
const [R, M] = ['virtual_hosts[0].routes[0].route', 'virtual_hosts[0].routes[0].match'];

const NACK: readonly Rule[] = [
  {
    rule: 'a route has no match',
    source: 'A28',
    resource: one({ route: { cluster: 'c' } }),
    problem: 'match: must be set',
  },
  {
    rule: 'a match has no path specifier',
    source: 'A28',
    resource: match({}),
    problem: `${M}: must have one of prefix`,
  },
  {
    rule: 'a path specifier is not known',
    source: 'A28',
    resource: match({ connect_matcher: {} }),
    problem: `${M}: must have one of prefix`,
  },
  {
    rule: 'an expression for the path does not compile',
    source: 'A28',
    resource: match({ safe_regex: { regex: '[' } }),
    problem: `${M}.safe_regex.regex: `,
  },
  {
    rule: 'an expression for a header does not compile',
    source: 'A28',
    resource: header({ safe_regex_match: { regex: '(' } }),
    problem: `${M}.headers[0].safe_regex_match.regex: `,
  },
  {
    rule: 'an expression in a StringMatcher does not compile',
    source: 'A63',
    resource: header({ string_match: { safe_regex: { regex: '*' } } }),
    problem: `${M}.headers[0].string_match.safe_regex.regex: `,
  },
  {
    rule: 'a StringMatcher has no pattern',
    source: 'string.proto',
    resource: header({ string_match: {} }),
    problem: `${M}.headers[0].string_match: must have one of`,
  },
  {
    rule: 'a header matcher is not known',
    source: 'A28',
    resource: header({ future_match: {} }),
    problem: `${M}.headers[0]: must have one of`,
  },
  {
    rule: 'a header matcher has no name',
    source: 'route_components.proto',
    resource: match({ prefix: '/', headers: [{ present_match: true }] }),
    problem: `${M}.headers[0].name: must be set`,
  },
  {
    rule: 'a fraction’s denominator is not known',
    source: 'A28',
    resource: match({ prefix: '/', runtime_fraction: { default_value: { denominator: 9 } } }),
    problem: 'default_value.denominator: must be one of',
  },
  {
    rule: 'an expression of a hash policy does not compile',
    source: 'A42',
    resource: action({
      hash_policy: [{ header: { header_name: 'x', regex_rewrite: { pattern: { regex: '[' }, substitution: '' } } }],
    }),
    problem: `${R}.hash_policy[0].header.regex_rewrite.pattern.regex: `,
  },
  {
    rule: 'a hash policy’s substitution names a group that is not there',
    source: 'A42',
    resource: action({
      hash_policy: [{ header: { header_name: 'x', regex_rewrite: { pattern: { regex: 'a' }, substitution: '\\2' } } }],
    }),
    problem: `${R}.hash_policy[0].header.regex_rewrite.substitution: `,
  },
  {
    rule: 'a weighted cluster’s sum is 0',
    source: 'A28',
    resource: weights(0, 0),
    problem: 'weights must add up to 1 or more',
  },
  {
    rule: 'there are no weighted clusters',
    source: 'A28',
    resource: weights(),
    problem: 'weights must add up to 1 or more',
  },
  {
    rule: 'a weighted cluster’s sum is more than 2^32-1',
    source: 'A28',
    resource: weights(4_294_967_295, 1),
    problem: 'weights must add up to at most 4294967295',
  },
  {
    rule: 'num_retries is 0',
    source: 'A44',
    resource: retry({ num_retries: {} }),
    problem: `${R}.retry_policy.num_retries: must be greater than 0`,
  },
  {
    rule: 'num_retries of the virtual host is 0',
    source: 'A44',
    resource: one(toCluster('c'), { retry_policy: { num_retries: { value: 0 } } }),
    problem: 'virtual_hosts[0].retry_policy.num_retries: must be greater than 0',
  },
  {
    rule: 'the back-off has no base_interval',
    source: 'A44',
    resource: backOff({}),
    problem: 'base_interval: must be greater than 0',
  },
  {
    rule: 'base_interval is 0',
    source: 'A44',
    resource: backOff({ base_interval: {} }),
    problem: 'base_interval: must be greater than 0',
  },
  {
    rule: 'base_interval is negative',
    source: 'A44',
    resource: backOff({ base_interval: { seconds: -1 } }),
    problem: 'base_interval: must be a duration of 0 s or more',
  },
  {
    rule: 'max_interval is 0',
    source: 'A44',
    resource: backOff({ base_interval: { seconds: 1 }, max_interval: {} }),
    problem: 'max_interval: must be greater than 0',
  },
  {
    rule: 'max_interval is less than base_interval',
    source: 'A44',
    resource: backOff({ base_interval: { seconds: 2 }, max_interval: { seconds: 1 } }),
    problem: 'max_interval: must not be less than base_interval',
  },
  {
    rule: 'a timeout is no duration',
    source: 'duration.proto',
    resource: action({ max_stream_duration: { max_stream_duration: { nanos: 1e9 } } }),
    problem: 'max_stream_duration: must be a duration',
  },
  {
    rule: 'a cluster specifier plugin is unknown and not optional',
    source: 'A28, xDS design for RLS',
    resource: plugins({ cluster: 'c' }, { extension: { name: 'p', typed_config: any('x.Y') } }),
    problem: 'cluster_specifier_plugins[0]: cluster specifier plugins are not supported',
  },
  {
    rule: 'a route names a plugin that is not declared',
    source: 'xDS design for RLS',
    resource: plugins({ cluster_specifier_plugin: 'p' }),
    problem: `${R}.cluster_specifier_plugin: names "p"`,
  },
  {
    rule: 'a domain has two wildcards',
    source: 'route_components.proto',
    resource: domains('*a*'),
    problem: 'domains[0]: must have at most one "*"',
  },
  {
    rule: 'a domain’s wildcard is in its middle',
    source: 'route_components.proto',
    resource: domains('a*b'),
    problem: 'domains[0]: must have at most one "*"',
  },
  {
    rule: 'a domain is empty',
    source: 'route_components.proto',
    resource: domains(''),
    problem: 'domains[0]: must not be empty',
  },
  {
    rule: 'a domain is there twice',
    source: 'route_components.proto',
    resource: domains('a', 'A'),
    problem: 'domains[1]: must be unique',
  },
  {
    rule: 'an override of a virtual host is for an unknown filter',
    source: 'A39',
    resource: one(toCluster('c'), { typed_per_filter_config: override }),
    problem: 'virtual_hosts[0].typed_per_filter_config["x"]',
  },
  {
    rule: 'an override of a route is for an unknown filter',
    source: 'A39',
    resource: one({ ...toCluster('c'), typed_per_filter_config: override }),
    problem: 'routes[0].typed_per_filter_config["x"]',
  },
  {
    rule: 'an override of a weighted cluster is for an unknown filter',
    source: 'A39',
    resource: one({
      match: { prefix: '/' },
      route: {
        weighted_clusters: { clusters: [{ name: 'c', weight: { value: 1 }, typed_per_filter_config: override }] },
      },
    }),
    problem: 'clusters[0].typed_per_filter_config["x"]',
  },
  {
    rule: 'the resource has no name',
    source: 'xds_protocol',
    resource: { name: '' },
    problem: 'name: must be set and not empty',
  },
  {
    rule: 'a hash policy’s header has no name',
    source: 'route_components.proto',
    resource: action({ hash_policy: [{ header: {} }] }),
    problem: `${R}.hash_policy[0].header.header_name: must be set`,
  },
  {
    rule: 'a hash policy’s cookie has no name',
    source: 'route_components.proto',
    resource: action({ hash_policy: [{ cookie: {} }] }),
    problem: `${R}.hash_policy[0].cookie.name: must be set`,
  },
  {
    rule: 'a hash policy’s query parameter has no name',
    source: 'route_components.proto',
    resource: action({ hash_policy: [{ query_parameter: {} }] }),
    problem: `${R}.hash_policy[0].query_parameter.name: must be set`,
  },
  {
    rule: 'a hash policy’s filter state has no key',
    source: 'route_components.proto',
    resource: action({ hash_policy: [{ filter_state: {} }] }),
    problem: `${R}.hash_policy[0].filter_state.key: must be set`,
  },
  {
    rule: 'what would be a copy of a call has no cluster',
    source: 'route_components.proto',
    resource: action({ request_mirror_policies: [{}] }),
    problem: `${R}.request_mirror_policies[0].cluster: must be set`,
  },
  {
    rule: 'a retriable header has no matcher',
    source: 'route_components.proto; A28',
    resource: retry({ retry_on: 'retriable-headers', retriable_headers: [{ name: 'x' }] }),
    problem: `${R}.retry_policy.retriable_headers[0]: must have one of`,
  },
  {
    rule: 'a rate-limited back-off has no headers',
    source: 'route_components.proto',
    resource: retry({ rate_limited_retry_back_off: {} }),
    problem: `${R}.retry_policy.rate_limited_retry_back_off.reset_headers: must have at least one`,
  },
  {
    rule: 'a rate-limited back-off is never believed',
    source: 'route_components.proto',
    resource: retry({ rate_limited_retry_back_off: { reset_headers: [{ name: 'x' }], max_interval: {} } }),
    problem: 'rate_limited_retry_back_off.max_interval: must be greater than 0',
  },
  {
    rule: 'the expression that makes the host of the path does not compile',
    source: 'route_components.proto',
    resource: action({ host_rewrite_path_regex: { pattern: { regex: '(' }, substitution: '' } }),
    problem: `${R}.host_rewrite_path_regex.pattern.regex: `,
  },
  {
    rule: 'an override for a session’s filter says nothing',
    source: 'stateful_session.proto',
    resource: one({
      ...toCluster('c'),
      typed_per_filter_config: {
        s: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute'),
      },
    }),
    problem: 'typed_per_filter_config["s"]: must have disabled or stateful_session',
  },
];

/** The resource stands, without the route. */
const ROUTE_IGNORED: readonly Exception[] = [
  { rule: 'a cluster specifier that is not set', source: 'A28', resource: one({ match: { prefix: '/' }, route: {} }) },
  { rule: 'cluster_header', source: 'A28', resource: one({ match: { prefix: '/' }, route: { cluster_header: 'x' } }) },
  {
    rule: 'cluster_header, and a rewrite that only others support',
    source: 'A28',
    resource: one({ match: { prefix: '/' }, route: { cluster_header: 'x', host_rewrite_header: 'y' } }),
  },
  {
    rule: 'a cluster specifier plugin that is unknown and optional',
    source: 'xDS design for RLS',
    resource: plugins(
      { cluster_specifier_plugin: 'p' },
      { extension: { name: 'p', typed_config: any('x.Y') }, is_optional: true },
    ),
  },
];

/** The resource stands, with the route. */
const IGNORED: readonly Exception[] = [
  { rule: 'a hash policy by cookie', source: 'A42', resource: action({ hash_policy: [{ cookie: { name: 'c' } }] }) },
  {
    rule: 'a hash policy by connection',
    source: 'A42',
    resource: action({ hash_policy: [{ connection_properties: { source_ip: true } }] }),
  },
  {
    rule: 'a hash policy by query parameter',
    source: 'A42',
    resource: action({ hash_policy: [{ query_parameter: { name: 'q' } }] }),
  },
  {
    rule: 'a hash policy by another filter state',
    source: 'A42',
    resource: action({ hash_policy: [{ filter_state: { key: 'x' } }] }),
  },
  { rule: 'a hash policy of a kind to come', source: 'A42', resource: action({ hash_policy: [{ terminal: true }] }) },
  { rule: 'tls_context', source: 'A28', resource: match({ prefix: '/', tls_context: { presented: true } }) },
  {
    rule: 'a retry condition that is not known',
    source: 'A44',
    resource: retry({ retry_on: 'nonsense, unavailable' }),
  },
  {
    rule: 'what else a retry policy may have',
    source: 'A44',
    resource: retry({ retry_on: '5xx', retry_priority: { name: 'x' }, retry_options_predicates: [{ name: 'x' }] }),
  },
  {
    rule: 'an override that is unknown and optional',
    source: 'A39',
    resource: one({
      ...toCluster('c'),
      typed_per_filter_config: {
        x: any('envoy.config.route.v3.FilterConfig', { is_optional: true, config: any('x.Y') }),
      },
    }),
  },
  {
    rule: 'non_forwarding_action',
    source: 'A36; defect 1 of grpc-js-xds',
    resource: one({ match: { prefix: '/' }, non_forwarding_action: {} }),
  },
  { rule: 'an action to come', source: 'A28', resource: one({ match: { prefix: '/' } }) },
];

const routes = (exception: Exception) =>
  (expectAccepted(ROUTE, exception) as RouteConfiguration).virtualHosts[0]?.routes;

describe('RDS', () => {
  test.each(NACK)('RDS: NACK when $rule ($source)', (rule) => expectRefused(ROUTE, rule));

  test.each(ROUTE_IGNORED)('RDS: a route with $rule is ignored, not NACKed ($source)', (exception) => {
    expect(routes(exception)).toEqual([]);
  });

  test.each(IGNORED)('RDS: $rule is ignored, not NACKed ($source)', (exception) => {
    expect(routes(exception)).toHaveLength(1);
  });
});

describe('RDS: auto_host_rewrite', () => {
  const resource = action({ auto_host_rewrite: { value: true } });
  const rewrite = (trusted: boolean) => {
    const config = runToEnd(decodersByType[ROUTE](resource, 'r', { server: 's', trusted }));
    const found = config.virtualHosts[0]?.routes[0]?.action;
    return found?.kind === 'forward' ? found.hostRewrite : found;
  };

  test('counts when the server is a trusted_xds_server (A81)', () => {
    expect(rewrite(true)).toEqual({ kind: 'endpoint' });
  });

  test('is not looked at when it is not (A81)', () => {
    expect(rewrite(false)).toBeUndefined();
  });
});

describe('RDS: what a route becomes', () => {
  const decoded = (resource: Resource) => routes({ rule: '', source: '', resource })?.[0];
  const retryOf = (resource: Resource) => {
    const found = decoded(resource)?.action;
    return found?.kind === 'forward' ? found.retry : undefined;
  };

  test('retry_on is trimmed and case-folded (A44; defect 8 of grpc-js-xds)', () => {
    expect([...(retryOf(retry({ retry_on: 'cancelled, Unavailable' }))?.on ?? [])]).toEqual([
      'cancelled',
      'unavailable',
    ]);
  });

  test('a base of one second is 1000 ms and the maximum ten times that (A44; defect 7 of grpc-js-xds)', () => {
    expect(retryOf(backOff({ base_interval: { seconds: 1 } }))).toMatchObject({ baseMs: 1_000, maxMs: 10_000 });
  });

  test('present_match: false asks for absence (A28; defect 4 of grpc-js-xds)', () => {
    expect(decoded(header({ present_match: false }))?.match.headers[0]?.match).toEqual({
      kind: 'present',
      present: false,
    });
  });

  test('invert_match is kept apart from the match (A41; defect 5 of grpc-js-xds)', () => {
    expect(decoded(header({ exact_match: 'a', invert_match: true }))?.match.headers[0]).toMatchObject({
      match: { kind: 'exact', value: 'a' },
      invert: true,
    });
  });

  test('query parameters stay a condition of the route (A28; defect 3 of grpc-js-xds)', () => {
    expect(
      decoded(match({ prefix: '/', query_parameters: [{ name: 'q', present_match: true }] }))?.match.query,
    ).toHaveLength(1);
  });
});
