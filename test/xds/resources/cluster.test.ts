import { describe, expect, test } from 'vitest';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, clusterResource, lbEndpoint, locality, numberValue, struct } from '../../support/xds-resources.js';

const decode = (resource: Resource) => decoders[CLUSTER](resource, 'c');
const settings = (fields: Resource = {}) => decode(clusterResource('c', fields)).settings;
const policy = (typed_config: Resource): Resource => ({ typed_extension_config: { name: 'p', typed_config } });
const policies = (...list: Resource[]): Resource => ({ load_balancing_policy: { policies: list.map(policy) } });
const lb = (name: string, message: string, fields: Resource = {}) =>
  any(`envoy.extensions.load_balancing_policies.${name}.v3.${message}`, fields);
const peakEwma = (fields: Record<string, Resource>) =>
  any('xds.type.v3.TypedStruct', { type_url: 'type.googleapis.com/inmesh.dev/peak_ewma', value: struct(fields) });

describe('a cluster', () => {
  test('has defaults for all that is not set', () => {
    expect(decode(clusterResource('c'))).toEqual({
      name: 'c',
      settings: {
        kind: 'leaf',
        name: 'c',
        edsServiceName: 'c',
        loadReports: undefined,
        statName: 'c',
        balancer: { kind: 'round_robin' },
        limits: { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: undefined },
        retryBudget: { retryRatio: 0.2, minRetriesPerSecond: 10, ttlMs: 10_000 },
        protocol: 'http1',
        connectTimeoutMs: 1_000,
        idleTimeoutMs: 300_000,
        tls: undefined,
      },
      discovery: { kind: 'eds', serviceName: 'c' },
    });
  });

  test('is frozen in depth', () => {
    const found = decode(clusterResource('c'));
    expect([found, found.settings, found.settings.limits, found.discovery].every(Object.isFrozen)).toBe(true);
  });

  test('takes alt_stat_name, connect_timeout and the EDS service name', () => {
    const eds = { eds_config: { self: {} }, service_name: 's' };
    const found = decode(
      clusterResource('c', { alt_stat_name: 'stat', connect_timeout: { nanos: 250_000_000 }, eds_cluster_config: eds }),
    );
    expect(found).toMatchObject({
      settings: { statName: 'stat', connectTimeoutMs: 250 },
      discovery: { serviceName: 's' },
    });
  });
});

describe('the balancer', () => {
  test.each<[string, Resource, unknown]>([
    ['lb_policy LEAST_REQUEST', { lb_policy: 'LEAST_REQUEST' }, { kind: 'least_request', choiceCount: 2 }],
    ['lb_policy RANDOM', { lb_policy: 'RANDOM' }, { kind: 'random' }],
    [
      'choice_count above ten',
      { lb_policy: 'LEAST_REQUEST', least_request_lb_config: { choice_count: { value: 99 } } },
      { kind: 'least_request', choiceCount: 10 },
    ],
    ['a policy before lb_policy', { lb_policy: 'RING_HASH', ...policies(lb('random', 'Random')) }, { kind: 'random' }],
    [
      'the first that is supported',
      policies(
        any('future.Policy'),
        lb('cluster_provided', 'ClusterProvided'),
        lb('least_request', 'LeastRequest'),
        lb('random', 'Random'),
      ),
      { kind: 'least_request', choiceCount: 2 },
    ],
    [
      'what is inside wrr_locality',
      policies(
        lb('wrr_locality', 'WrrLocality', { endpoint_picking_policy: { policies: [policy(lb('random', 'Random'))] } }),
      ),
      { kind: 'random' },
    ],
    [
      'the next, when wrr_locality has nothing inside that is supported',
      policies(
        lb('wrr_locality', 'WrrLocality', { endpoint_picking_policy: { policies: [policy(any('x.Y'))] } }),
        lb('round_robin', 'RoundRobin'),
      ),
      { kind: 'round_robin' },
    ],
    ['peak EWMA with its defaults', policies(peakEwma({})), { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 }],
    [
      'peak EWMA',
      policies(peakEwma({ decay_ms: numberValue(5_000), default_rtt_ms: numberValue(1) })),
      { kind: 'peak_ewma', decayMs: 5_000, defaultRttMs: 1 },
    ],
  ])('%s', (_, fields, balancer) => {
    expect(settings(fields).balancer).toEqual(balancer);
  });
});

describe('limits and budgets', () => {
  const thresholds = (...list: Resource[]): Resource => ({ circuit_breakers: { thresholds: list } });

  test('the first threshold of DEFAULT priority counts (A32), the rest keeps its defaults', () => {
    const found = settings(
      thresholds({ max_requests: { value: 2 }, max_retries: { value: 3 } }, { max_requests: { value: 4 } }),
    );
    expect(found.limits).toEqual({ maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 2, maxRetries: 3 });
  });

  test('a limit of zero is zero', () => {
    expect(settings(thresholds({ max_requests: {} })).limits.maxRequests).toBe(0);
  });

  test('our own retry budget comes first', () => {
    const retry_budget = {
      struct_value: struct({
        retry_ratio: numberValue(0.1),
        min_retries_per_second: numberValue(0),
        ttl_ms: numberValue(5_000),
      }),
    };
    const found = settings({
      metadata: { filter_metadata: { other: struct({}), 'inmesh.dev': struct({ retry_budget }) } },
      ...thresholds({ retry_budget: { budget_percent: { value: 50 } } }),
    });
    expect(found.retryBudget).toEqual({ retryRatio: 0.1, minRetriesPerSecond: 0, ttlMs: 5_000 });
  });
});

describe('the protocol', () => {
  const options = (fields: Resource): Resource => ({
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        fields,
      ),
    },
  });
  test.each<[Resource, string]>([
    [options({ explicit_http_config: { http2_protocol_options: {} } }), 'http2'],
    [options({ explicit_http_config: { http_protocol_options: {} } }), 'http1'],
    [options({ auto_config: { http2_protocol_options: {} } }), 'http1'],
    [{ http2_protocol_options: {} }, 'http2'],
  ])('%j', (fields, protocol) => {
    expect(settings(fields).protocol).toBe(protocol);
  });

  test('an idle timeout, where 0 is never', () => {
    expect(settings(options({ common_http_protocol_options: { idle_timeout: { seconds: 7 } } })).idleTimeoutMs).toBe(
      7_000,
    );
    expect(settings({ common_http_protocol_options: { idle_timeout: {} } }).idleTimeoutMs).toBe(2_147_483_647);
  });
});

describe('discovery', () => {
  const load = (...endpoints: Resource[]): Resource => ({ cluster_name: 'c', endpoints });

  test('STATIC is the default type and carries its endpoints, without the need of localities or weights', () => {
    const found = decode({ name: 'c', load_assignment: load({ lb_endpoints: [lbEndpoint('::1', 80)] }) });
    expect(found.discovery).toMatchObject({
      kind: 'static',
      assignment: {
        endpoints: [{ key: '[::1]:80', localityWeight: 1, locality: { region: '', zone: '', subZone: '' } }],
      },
    });
  });

  test('STRICT_DNS and LOGICAL_DNS have names', () => {
    const dns = {
      load_assignment: load({ lb_endpoints: [lbEndpoint('example.com', 443)] }),
      eds_cluster_config: undefined,
    };
    expect(
      decode(
        clusterResource('c', {
          ...dns,
          type: 'STRICT_DNS',
          dns_lookup_family: 'V6_ONLY',
          dns_refresh_rate: { nanos: 1 },
        }),
      ).discovery,
    ).toMatchObject({
      kind: 'strict_dns',
      family: 'V6_ONLY',
      refreshMs: 1_000,
      assignment: { endpoints: [{ addresses: [{ host: 'example.com', port: 443 }] }] },
    });
    expect(decode(clusterResource('c', { ...dns, type: 'LOGICAL_DNS' })).discovery).toMatchObject({
      kind: 'logical_dns',
      family: 'AUTO',
      refreshMs: undefined,
    });
  });

  const named = (...hosts: string[]) => load({ lb_endpoints: hosts.map((host) => lbEndpoint(host, 80)) });
  test.each<[string, Resource, string]>([
    ['EDS without a source', { eds_cluster_config: {} }, 'eds_cluster_config.eds_config: must be set'],
    [
      'EDS from neither ads nor self',
      { eds_cluster_config: { eds_config: { path: '/x' } } },
      'eds_cluster_config.eds_config: must be ads or self',
    ],
    [
      'STATIC with a name',
      { type: 'STATIC', load_assignment: named('example.com') },
      'socket_address.address: must be an IP address',
    ],
    ['STATIC without endpoints’ assignment', { type: 'STATIC' }, 'load_assignment: must be set'],
    [
      'LOGICAL_DNS with two endpoints',
      { type: 'LOGICAL_DNS', load_assignment: named('a', 'b') },
      'load_assignment.endpoints: must have exactly one locality with exactly one endpoint',
    ],
    [
      'LOGICAL_DNS with two localities',
      { type: 'LOGICAL_DNS', load_assignment: load(locality([lbEndpoint('a', 1)]), locality([], { locality: {} })) },
      'must have exactly one locality',
    ],
    [
      'a name that is none',
      { type: 'STRICT_DNS', load_assignment: named('a..b') },
      'must be an IP address or a host name',
    ],
    [
      'additional addresses with DNS',
      {
        type: 'STRICT_DNS',
        load_assignment: load({
          lb_endpoints: [
            {
              endpoint: {
                address: { socket_address: { address: 'a', port_value: 1 } },
                additional_addresses: [{ address: { socket_address: { address: 'b', port_value: 1 } } }],
              },
            },
          ],
        }),
      },
      'additional_addresses are not supported with DNS',
    ],
    ['ORIGINAL_DST', { type: 'ORIGINAL_DST' }, 'type: must be EDS, STATIC'],
    ['an unknown type', { type: 99 }, 'type: must be one of'],
  ])('is refused: %s', (_, fields, message) => {
    expect(refusal(() => decode(clusterResource('c', fields)))).toContain(message);
  });

  test('an xdstp cluster over EDS must give service_name (A47)', () => {
    const name = 'xdstp://authority/envoy.config.cluster.v3.Cluster/c';
    expect(refusal(() => decoders[CLUSTER](clusterResource(name), name))).toContain(
      'eds_cluster_config.service_name: must be set',
    );
  });
});

describe('a cluster is refused', () => {
  const nested = (depth: number): Resource =>
    depth === 0
      ? lb('random', 'Random')
      : lb('wrr_locality', 'WrrLocality', { endpoint_picking_policy: { policies: [policy(nested(depth - 1))] } });
  test.each<[string, () => unknown, string]>([
    ['without a name', () => decode(clusterResource('')), 'name: must be set and not empty'],
    [
      'with an lb_policy that is not supported',
      () => settings({ lb_policy: 'CLUSTER_PROVIDED' }),
      'lb_policy: must be ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV',
    ],
    [
      'with LOAD_BALANCING_POLICY_CONFIG and no policy',
      () => settings({ lb_policy: 'LOAD_BALANCING_POLICY_CONFIG' }),
      'lb_policy: must be',
    ],
    [
      'with choice_count less than 2',
      () => settings({ lb_policy: 'LEAST_REQUEST', least_request_lb_config: { choice_count: { value: 1 } } }),
      'least_request_lb_config.choice_count: must be at least 2',
    ],
    [
      'with no policy that is supported',
      () => settings(policies(any('x.Y'))),
      'load_balancing_policy.policies: must have a supported policy',
    ],
    ['with an empty list of policies', () => settings(policies()), 'got none'],
    [
      'with policies nested more than 16 deep',
      () => settings(policies(nested(16))),
      'must not be nested more than 16 deep',
    ],
    ['with lrs_server other than self', () => settings({ lrs_server: { ads: {} } }), 'lrs_server: must be self'],
    ['with connect_timeout 0', () => settings({ connect_timeout: {} }), 'connect_timeout: must be greater than 0'],
    [
      'with a retry budget above 100 %',
      () => settings({ circuit_breakers: { thresholds: [{ retry_budget: { budget_percent: { value: 101 } } }] } }),
      'budget_percent.value: must be from 0 to 100',
    ],
    [
      'with a retry budget of ours out of bounds',
      () =>
        settings({
          metadata: {
            filter_metadata: {
              'inmesh.dev': struct({ retry_budget: { struct_value: struct({ ttl_ms: numberValue(5) }) } }),
            },
          },
        }),
      'filter_metadata["inmesh.dev"].fields["retry_budget"].struct_value.fields["ttl_ms"]: must be a number from 1000 to 60000, got 5',
    ],
    [
      'with a decay of 0',
      () => settings(policies(peakEwma({ decay_ms: numberValue(0) }))),
      'typed_config.value.fields["decay_ms"]: must be a number from 1',
    ],
    [
      'with HTTP/3',
      () =>
        settings({
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              { explicit_http_config: { http3_protocol_options: {} } },
            ),
          },
        }),
      'http3_protocol_options: is not supported',
    ],
  ])('%s', (_, read, message) => {
    expect(refusal(read)).toContain(message);
  });

  test('policies nested 16 deep are still read', () => {
    expect(settings(policies(nested(15))).balancer).toEqual({ kind: 'random' });
  });
});
