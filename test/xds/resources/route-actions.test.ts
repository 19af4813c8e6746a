import { describe, expect, test } from 'vitest';
import type { ForwardAction, Route } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, routeResource, struct, toCluster } from '../../support/xds-resources.js';

const decode = (route: Resource, host: Resource = {}, config: Resource = {}): Route | undefined =>
  decoders[ROUTE]({ ...routeResource('r', [route], host), ...config }, 'r').virtualHosts[0]?.routes[0];
const forward = (action: Resource, host: Resource = {}, config: Resource = {}): ForwardAction => {
  const route = decode(toCluster('c', { prefix: '/' }, action), host, config);
  if (route?.action.kind !== 'forward') throw new Error('must forward');
  return route.action;
};
const weighted = (clusters: readonly Resource[], fields: Resource = {}): ForwardAction => {
  const route = decode({ match: { prefix: '/' }, route: { weighted_clusters: { clusters, ...fields } } });
  if (route?.action.kind !== 'forward') throw new Error('must forward');
  return route.action;
};
const wrapped = (value: unknown): Resource => ({ value });
const labels = (fields: Record<string, Resource>): Resource => ({ filter_metadata: { 'envoy.lb': struct(fields) } });
const text = (string_value: string): Resource => ({ string_value });

describe('hash policies', () => {
  const policies = (...hash_policy: Resource[]) => forward({ hash_policy }).hashPolicies;

  test('are none unless there are some', () => {
    expect(forward({}).hashPolicies).toBeUndefined();
    expect(policies({ terminal: true }, { connection_properties: {} })).toBeUndefined();
  });

  test('are read in order, each of its kind', () => {
    expect(
      policies(
        { header: { header_name: 'X-User' }, terminal: true },
        { cookie: { name: 'c' } },
        {
          cookie: {
            name: 'd',
            ttl: { seconds: 60 },
            path: '/p',
            attributes: [{ name: 'SameSite', value: 'Lax' }, { name: 'Secure' }],
          },
        },
        { cookie: { name: 'e', ttl: {} } },
        { connection_properties: { source_ip: true } },
        { query_parameter: { name: 'q' } },
        { filter_state: { key: 'io.grpc.channel_id' } },
        { header: { header_name: ':path' } },
      ),
    ).toEqual([
      { kind: 'header', terminal: true, name: 'x-user', rewrite: undefined },
      { kind: 'cookie', terminal: false, name: 'c', path: '', ttlMs: undefined, attributes: [] },
      {
        kind: 'cookie',
        terminal: false,
        name: 'd',
        path: '/p',
        ttlMs: 60_000,
        attributes: [
          { name: 'SameSite', value: 'Lax' },
          { name: 'Secure', value: '' },
        ],
      },
      { kind: 'cookie', terminal: false, name: 'e', path: '', ttlMs: 0, attributes: [] },
      { kind: 'source', terminal: false },
      { kind: 'query', terminal: false, name: 'q' },
      { kind: 'filter_state', terminal: false, key: 'io.grpc.channel_id' },
      { kind: 'header', terminal: false, name: ':path', rewrite: undefined },
    ]);
  });

  test('may rewrite a header', () => {
    const [found] =
      policies({
        header: { header_name: 'x', regex_rewrite: { pattern: { regex: 'u(.*)' }, substitution: '\\1' } },
      }) ?? [];
    if (found?.kind !== 'header' || found.rewrite === undefined) throw new Error('must rewrite');
    expect(found.rewrite.regex.replaceAll('u42', found.rewrite.substitution)).toBe('42');
  });

  test.each<[string, Resource, string]>([
    ['a header without a name', { header: {} }, 'header.header_name: must be set'],
    ['a header that is none', { header: { header_name: 'a b' } }, 'must be a header name'],
    ['a cookie without a name', { cookie: {} }, 'cookie.name: must be set'],
    ['a cookie whose name ends it', { cookie: { name: 'a;b' } }, 'must be the name of a cookie'],
    ['a cookie whose path ends it', { cookie: { name: 'a', path: '/;x' } }, 'must be the path of a cookie'],
    ['an attribute without a name', { cookie: { name: 'a', attributes: [{}] } }, 'attributes[0].name: must be set'],
    [
      'an attribute with a line break',
      { cookie: { name: 'a', attributes: [{ name: 'b', value: 'c\r\n' }] } },
      'must be the value of an attribute',
    ],
    ['a parameter without a name', { query_parameter: {} }, 'query_parameter.name: must be set'],
    ['a key that is none', { filter_state: {} }, 'filter_state.key: must be set'],
  ])('are refused with %s', (_, policy, problem) => {
    expect(refusal(() => policies(policy))).toContain(problem);
  });

  test('are checked in a route that is ignored, too', () => {
    const route = { match: { prefix: '/' }, route: { cluster_header: 'x', hash_policy: [{ cookie: {} }] } };
    expect(refusal(() => decode(route))).toContain('cookie.name: must be set');
  });
});

describe('mirrors', () => {
  const mirror = (cluster: string, fields: Resource = {}): Resource => ({ cluster, ...fields });
  const plain = { share: 1, shadowSuffix: true, hostRewrite: undefined, requestHeaders: undefined };

  test('get all calls unless it is said otherwise', () => {
    expect(forward({}).mirrors).toBeUndefined();
    expect(forward({ request_mirror_policies: [mirror('m'), mirror('n')] }).mirrors).toEqual([
      { cluster: 'm', ...plain },
      { cluster: 'n', ...plain },
    ]);
  });

  test('take every field', () => {
    const [found] =
      forward({
        request_mirror_policies: [
          mirror('m', {
            runtime_fraction: { default_value: { numerator: 5 }, runtime_key: 'k' },
            disable_shadow_host_suffix_append: true,
            host_rewrite_literal: 'shadow.example.com',
            request_headers_mutations: [
              { remove: 'Cookie' },
              { append: { header: { key: 'X-Mirror', value: '1' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } },
              { append: { header: { key: 'x-nothing' } } },
            ],
          }),
        ],
      }).mirrors ?? [];
    expect(found).toEqual({
      cluster: 'm',
      share: 0.05,
      shadowSuffix: false,
      hostRewrite: 'shadow.example.com',
      requestHeaders: {
        remove: ['cookie'],
        set: [],
        next: { remove: [], set: [{ name: 'x-mirror', value: '1', action: 'overwrite' }] },
      },
    });
  });

  test('of the route override those of the virtual host, and these those of the route configuration', () => {
    const level = (name: string): Resource => ({ request_mirror_policies: [mirror(name)] });
    const names = (action: Resource, host: Resource) =>
      forward(action, host, level('config')).mirrors?.map(({ cluster }) => cluster);
    expect(names({}, {})).toEqual(['config']);
    expect(names({}, level('host'))).toEqual(['host']);
    expect(names(level('route'), level('host'))).toEqual(['route']);
  });

  test.each<[string, Resource, string]>([
    ['no cluster', {}, 'request_mirror_policies[0].cluster: must be set'],
    ['a cluster by header', { cluster_header: 'x' }, 'cluster_header: is not supported'],
    ['a host that is none', mirror('m', { host_rewrite_literal: 'a/b' }), 'host_rewrite_literal: must be a host'],
    ['a change of nothing', mirror('m', { request_headers_mutations: [{}] }), 'must have remove or append'],
    [
      'a change of the host',
      mirror('m', { request_headers_mutations: [{ remove: 'host' }] }),
      'remove: must be a header',
    ],
    ['a share of nothing', mirror('m', { runtime_fraction: {} }), 'default_value: must be set'],
  ])('are refused with %s', (_, policy, problem) => {
    expect(refusal(() => forward({ request_mirror_policies: [policy] }))).toContain(problem);
  });
});

describe('retries', () => {
  const retry = (fields: Resource) => forward({ retry_policy: { retry_on: '5xx', ...fields } }).retry;

  test('have nothing of it unless it is said', () => {
    expect(retry({})).toMatchObject({
      retriableHeaders: undefined,
      retriableRequestHeaders: undefined,
      perTryIdleTimeoutMs: undefined,
      rateLimitedBackOff: undefined,
      hostSelection: undefined,
    });
  });

  test('take headers, idle timeout and conditions of Envoy', () => {
    const found = retry({
      retry_on: 'retriable-headers,envoy-ratelimited',
      retriable_headers: [{ name: 'X-Retry', exact_match: 'yes' }],
      retriable_request_headers: [{ name: ':method', exact_match: 'GET' }],
      per_try_idle_timeout: { nanos: 500_000_000 },
    });
    expect([...(found?.on ?? [])]).toEqual(['retriable-headers', 'envoy-ratelimited']);
    expect(found?.retriableHeaders?.map(({ name }) => name)).toEqual(['x-retry']);
    expect(found?.retriableRequestHeaders?.map(({ name }) => name)).toEqual([':method']);
    expect(found?.perTryIdleTimeoutMs).toBe(500);
    expect(retry({ per_try_idle_timeout: {} })?.perTryIdleTimeoutMs).toBeUndefined();
  });

  test('wait as the server says', () => {
    const reset_headers = [{ name: 'Retry-After' }, { name: 'X-Reset', format: 'UNIX_TIMESTAMP' }];
    const headers = [
      { name: 'retry-after', format: 'seconds' },
      { name: 'x-reset', format: 'unix' },
    ];
    const of = (fields: Resource) => retry({ rate_limited_retry_back_off: { reset_headers, ...fields } });
    expect(of({})?.rateLimitedBackOff).toEqual({ headers, maxMs: 300_000 });
    expect(of({ max_interval: { seconds: 9 } })?.rateLimitedBackOff).toEqual({ headers, maxMs: 9_000 });
  });

  test('avoid the endpoints that were tried when it is asked for', () => {
    const type = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
    const typed = { name: 'x', typed_config: any(type) };
    const named = { name: 'envoy.retry_host_predicates.previous_hosts' };
    const canaries = { name: 'x', typed_config: any('envoy.extensions.retry.host.omit_canary_hosts.v3.X') };
    expect(retry({ retry_host_predicate: [typed] })?.hostSelection).toEqual({ avoidPrevious: true, maxAttempts: 1 });
    expect(
      retry({ retry_host_predicate: [canaries, named], host_selection_retry_max_attempts: '5' })?.hostSelection,
    ).toEqual({ avoidPrevious: true, maxAttempts: 5 });
    expect(retry({ retry_host_predicate: [canaries] })?.hostSelection).toBeUndefined();
  });

  test.each<[string, Resource, string]>([
    ['a header that cannot be matched', { retriable_headers: [{ name: 'x' }] }, 'retriable_headers[0]: must have one'],
    ['no header to wait by', { rate_limited_retry_back_off: {} }, 'reset_headers: must have at least one'],
    [
      'a header to wait by that is none',
      { rate_limited_retry_back_off: { reset_headers: [{ name: ' ' }] } },
      'reset_headers[0].name: must be a header name',
    ],
    [
      'no time to wait',
      { rate_limited_retry_back_off: { reset_headers: [{ name: 'x' }], max_interval: {} } },
      'max_interval: must be greater than 0',
    ],
  ])('are refused with %s', (_, fields, problem) => {
    expect(refusal(() => retry(fields))).toContain(problem);
  });
});

describe('the host', () => {
  test('may come from a header, or be made of the path', () => {
    expect(forward({ host_rewrite_header: 'X-Host' }).hostRewrite).toEqual({ kind: 'header', name: 'x-host' });
    const found = forward({
      host_rewrite_path_regex: { pattern: { regex: '^/([^/]+)/.*' }, substitution: '\\1.internal' },
    }).hostRewrite;
    if (found?.kind !== 'path') throw new Error('must be made of the path');
    expect(found.regex.replaceAll('/a/b', found.substitution)).toBe('a.internal');
  });

  test('may be kept in x-forwarded-host', () => {
    expect(forward({}).appendForwardedHost).toBeUndefined();
    expect(forward({ append_x_forwarded_host: true }).appendForwardedHost).toBe(true);
  });

  test('may be a cluster’s own', () => {
    const action = weighted([{ name: 'a', weight: wrapped(1), host_rewrite_literal: 'a.example.com' }]);
    expect(action.clusters[0].hostRewrite).toBe('a.example.com');
    const bad = () => weighted([{ name: 'a', weight: wrapped(1), host_rewrite_literal: 'a b' }]);
    expect(refusal(bad)).toContain('clusters[0].host_rewrite_literal: must be a host');
  });
});

describe('subsets', () => {
  test('are asked for by route and by cluster', () => {
    expect(forward({}).subset).toBeUndefined();
    expect(forward({ metadata_match: { filter_metadata: { other: struct({}) } } }).subset).toBeUndefined();
    expect(forward({ metadata_match: labels({ version: text('v2') }) }).subset).toEqual({ version: 'v2' });
    const clusters = [{ name: 'a', weight: wrapped(1), metadata_match: labels({ canary: { bool_value: true } }) }];
    expect(weighted(clusters).clusters[0].subset).toEqual({ canary: 'true' });
  });

  test('that cannot be asked for exactly are refused: to leave a part out would be to ask for more', () => {
    const read = () => forward({ metadata_match: labels({ a: { struct_value: struct({}) } }) });
    expect(refusal(read)).toContain('["envoy.lb"].fields["a"]: must be a string, a number or true or false');
  });
});

describe('the choice among clusters', () => {
  const clusters = [
    { name: 'a', weight: wrapped(1) },
    { name: 'b', weight: wrapped(2) },
  ];

  test('is chance, the hash or a header', () => {
    const plain = weighted(clusters);
    expect([plain.weightedByHash, plain.weightedByHeader]).toEqual([undefined, undefined]);
    expect(weighted(clusters, { use_hash_policy: wrapped(true) }).weightedByHash).toBe(true);
    expect(weighted(clusters, { use_hash_policy: {} }).weightedByHash).toBeUndefined();
    expect(weighted(clusters, { header_name: 'X-Dice' }).weightedByHeader).toBe('x-dice');
  });

  test('is refused when both are asked for, and when the header is none', () => {
    const both = { header_name: 'x', use_hash_policy: wrapped(true) };
    expect(refusal(() => weighted(clusters, both))).toContain('only one of header_name, use_hash_policy');
    expect(refusal(() => weighted(clusters, { header_name: 'a b' }))).toContain('header_name: must be a header name');
  });
});

describe('what else a route has', () => {
  test('an idle timeout, 0 for none', () => {
    expect(forward({}).idleTimeoutMs).toBeUndefined();
    expect(forward({ idle_timeout: {} }).idleTimeoutMs).toBe(0);
    expect(forward({ idle_timeout: { seconds: 3 } }).idleTimeoutMs).toBe(3_000);
  });

  test('the number of the attempt, in requests and replies', () => {
    const of = (host: Resource) => decode(toCluster('c'), host)?.attemptCount;
    expect(of({})).toBeUndefined();
    expect(of({ include_request_attempt_count: true })).toEqual({ request: true, response: false });
    expect(of({ include_attempt_count_in_response: true })).toEqual({ request: false, response: true });
  });
});

describe('who calls', () => {
  const matched = (...dynamic_metadata: Resource[]) => decode(toCluster('c', { prefix: '/', dynamic_metadata }))?.match;
  const about = (path: readonly string[], exact: string, fields: Resource = {}): Resource => ({
    filter: 'inmesh.dev/source',
    path: path.map((key) => ({ key })),
    value: { string_match: { exact } },
    ...fields,
  });
  const exactly = (value: string, invert = false) => ({ match: { kind: 'exact', value, ignoreCase: false }, invert });

  test('is matched by labels and by identity', () => {
    expect(
      matched(
        about(['labels', 'app'], 'web'),
        about(['labels', 'labels'], 'x', { invert: true }),
        about(['principal'], 'spiffe://td/ns/a'),
      )?.source,
    ).toEqual({
      labels: [
        { name: 'app', ...exactly('web') },
        { name: 'labels', ...exactly('x', true) },
      ],
      principals: [exactly('spiffe://td/ns/a')],
    });
    expect(matched()?.source).toBeUndefined();
  });

  test('metadata of other filters, and their state, are never there: the route is left out', () => {
    expect(
      matched(about(['principal'], 'x'), { filter: 'envoy.other', path: [{ key: 'a' }], value: {} }),
    ).toBeUndefined();
    expect(decode(toCluster('c', { prefix: '/', filter_state: [{ key: 'k' }] }))).toBeUndefined();
  });

  test.each<[string, Resource, string]>([
    ['by nothing', { filter: 'inmesh.dev/source' }, 'dynamic_metadata[0].value: must be set'],
    ['by a number', about(['principal'], 'x', { value: { double_match: { exact: 1 } } }), 'must be a string_match'],
    ['by something else', about(['port'], 'x'), 'dynamic_metadata[0].path: must be "labels"'],
    ['by a label without a name', about(['labels'], 'x'), 'path: must be "labels" and the name of a label'],
    ['by a part of an identity', about(['principal', 'ns'], 'x'), 'path: must be "labels"'],
  ])('is refused %s', (_, matcher, problem) => {
    expect(refusal(() => matched(matcher))).toContain(problem);
  });
});
