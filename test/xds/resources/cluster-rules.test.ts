import { describe, expect, test } from 'vitest';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import type { Cluster } from '../../../src/xds/resources/cluster.js';
import { decodersByType } from '../../support/decoders.js';
import { type Exception, expectAccepted, expectRefused, type Rule } from '../../support/rules.js';
import { ads, any, clusterResource, lbEndpoint, locality } from '../../support/xds-resources.js';

const eds = (fields: Resource): Resource => clusterResource('c', fields);
const dns = (load_assignment: Resource): Resource => ({ name: 'c', type: 'LOGICAL_DNS', load_assignment });
const group = (...lb_endpoints: Resource[]): Resource => ({ lb_endpoints });
const POLICIES = 'envoy.extensions.load_balancing_policies';
const policy = (typed_config: Resource): Resource => ({ typed_extension_config: { name: 'p', typed_config } });
const policies = (...list: Resource[]): Resource => eds({ load_balancing_policy: { policies: list.map(policy) } });
const roundRobin = any(`${POLICIES}.round_robin.v3.RoundRobin`);
const ringHash = (fields: Resource) => any(`${POLICIES}.ring_hash.v3.RingHash`, fields);
const maglev = (size: number) => any(`${POLICIES}.maglev.v3.Maglev`, { table_size: { value: size } });
const wrr = (fields: Resource) =>
  any(`${POLICIES}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`, fields);
const lb = (name: string, message: string, fields: Resource) => any(`${POLICIES}.${name}.v3.${message}`, fields);
const nested = (depth: number): Resource => {
  let config = roundRobin;
  for (let i = 1; i < depth; i++) {
    config = any(`${POLICIES}.wrr_locality.v3.WrrLocality`, {
      endpoint_picking_policy: { policies: [policy(config)] },
    });
  }
  return config;
};
const legacyRing = (ring_hash_lb_config: Resource): Resource => eds({ lb_policy: 'RING_HASH', ring_hash_lb_config });
const aggregate = (cluster_type: Resource, fields: Resource = {}): Resource => ({ name: 'c', cluster_type, ...fields });
const AGGREGATE = 'envoy.extensions.clusters.aggregate.v3.ClusterConfig';
const leaves = (...clusters: string[]): Resource => ({ name: 'a', typed_config: any(AGGREGATE, { clusters }) });
const outlier = (outlier_detection: Resource): Resource => eds({ outlier_detection });
const perHost = (...per_host_thresholds: Resource[]): Resource => eds({ circuit_breakers: { per_host_thresholds } });
const EIGHT_M = 8_388_608;

const NACK: readonly Rule[] = [
  { rule: 'the name is empty', source: 'xds_protocol', resource: { name: '' }, problem: 'name: must be set' },
  {
    rule: 'lb_policy is unsupported and there is no load_balancing_policy',
    source: 'A27',
    resource: eds({ lb_policy: 'CLUSTER_PROVIDED' }),
    problem: 'lb_policy: must be ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV',
  },
  {
    rule: 'lb_policy is not known',
    source: 'A27',
    resource: eds({ lb_policy: 77 }),
    problem: 'lb_policy: must be one of',
  },
  {
    rule: 'the hash function of lb_policy RING_HASH is not XX_HASH',
    source: 'A42',
    resource: legacyRing({ hash_function: 'MURMUR_HASH_2' }),
    problem: 'ring_hash_lb_config.hash_function: must be XX_HASH',
  },
  {
    rule: 'the ring of lb_policy RING_HASH is larger than 8M',
    source: 'A42',
    resource: legacyRing({ maximum_ring_size: { value: EIGHT_M + 1 } }),
    problem: 'ring_hash_lb_config.maximum_ring_size: must be from 1 to 8388608',
  },
  {
    rule: 'the hash function of a ring hash policy is not XX_HASH',
    source: 'A42, A52',
    resource: policies(ringHash({ hash_function: 'MURMUR_HASH_2' }), roundRobin),
    problem: 'hash_function: must be XX_HASH',
  },
  {
    rule: 'minimum_ring_size is above 8M',
    source: 'A42',
    resource: policies(ringHash({ minimum_ring_size: { value: EIGHT_M + 1 } }), roundRobin),
    problem: 'minimum_ring_size: must be from 1',
  },
  {
    rule: 'maximum_ring_size is above 8M',
    source: 'A42',
    resource: policies(ringHash({ maximum_ring_size: { value: EIGHT_M + 1 } }), roundRobin),
    problem: 'maximum_ring_size: must be from 1',
  },
  {
    rule: 'minimum_ring_size is 0',
    source: 'ring_hash.proto; C-core',
    resource: policies(ringHash({ minimum_ring_size: {} }), roundRobin),
    problem: 'minimum_ring_size: must be from 1',
  },
  {
    rule: 'maximum_ring_size is 0',
    source: 'C-core',
    resource: policies(ringHash({ maximum_ring_size: {} }), roundRobin),
    problem: 'maximum_ring_size: must be from 1',
  },
  {
    rule: 'minimum_ring_size is more than maximum_ring_size',
    source: 'A42; grpc-go',
    resource: policies(ringHash({ minimum_ring_size: { value: 9 }, maximum_ring_size: { value: 8 } }), roundRobin),
    problem: 'minimum_ring_size: must not be more than maximum_ring_size (8), got 9',
  },
  {
    rule: 'the default minimum_ring_size is more than maximum_ring_size',
    source: 'A42; grpc-go',
    resource: policies(ringHash({ maximum_ring_size: { value: 1_000 } }), roundRobin),
    problem: 'minimum_ring_size: must not be more than maximum_ring_size (1000), got 1024',
  },
  {
    rule: 'a Maglev table is larger than 5000011',
    source: 'maglev.proto',
    resource: policies(maglev(5_000_077), roundRobin),
    problem: 'table_size: must be a prime number of at most 5000011',
  },
  {
    rule: 'the size of a Maglev table is no prime number',
    source: 'maglev.proto',
    resource: policies(maglev(65_536), roundRobin),
    problem: 'table_size: must be a prime number',
  },
  {
    rule: 'choice_count of lb_policy LEAST_REQUEST is less than 2',
    source: 'A48',
    resource: eds({ lb_policy: 'LEAST_REQUEST', least_request_lb_config: { choice_count: { value: 1 } } }),
    problem: 'least_request_lb_config.choice_count: must be at least 2',
  },
  {
    rule: 'choice_count of a least request policy is less than 2',
    source: 'A48, A52',
    resource: policies(any(`${POLICIES}.least_request.v3.LeastRequest`, { choice_count: { value: 1 } })),
    problem: 'choice_count: must be at least 2',
  },
  {
    rule: 'error_utilization_penalty is negative',
    source: 'A58',
    resource: policies(wrr({ error_utilization_penalty: { value: -0.5 } }), roundRobin),
    problem: 'error_utilization_penalty.value: must be 0 or more',
  },
  {
    rule: 'error_utilization_penalty is infinite',
    source: 'A58',
    resource: policies(wrr({ error_utilization_penalty: { value: Number.POSITIVE_INFINITY } }), roundRobin),
    problem: 'error_utilization_penalty.value: must be 0 or more, and finite',
  },
  {
    rule: 'a period of client-side WRR is no duration',
    source: 'A58',
    resource: policies(wrr({ weight_update_period: { nanos: -1 } }), roundRobin),
    problem: 'weight_update_period: must be a duration',
  },
  {
    rule: 'load_balancing_policy has no policy',
    source: 'A52',
    resource: policies(),
    problem: 'load_balancing_policy.policies: must have a supported policy',
  },
  {
    rule: 'load_balancing_policy has no supported policy',
    source: 'A52',
    resource: policies(any('x.Y'), any('x.Z')),
    problem: 'must have a supported policy, got x.Y, x.Z',
  },
  {
    rule: 'policies are nested more than 16 deep',
    source: 'A52',
    resource: policies(nested(17)),
    problem: 'must not be nested more than 16 deep',
  },
  {
    rule: 'a policy of the API comes in a TypedStruct, and there is no other',
    source: 'A52',
    resource: policies(
      any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${POLICIES}.round_robin.v3.RoundRobin` }),
    ),
    problem: 'must have a supported policy',
  },
  {
    rule: 'lrs_server is not self',
    source: 'A27',
    resource: eds({ lrs_server: { ads: {} } }),
    problem: 'lrs_server: must be self',
  },
  {
    rule: 'the EDS config source is neither ads nor self',
    source: 'A27',
    resource: eds({ eds_cluster_config: { eds_config: { path: '/x' } } }),
    problem: 'eds_config: must be ads or self',
  },
  {
    rule: 'there is no EDS config source',
    source: 'A27',
    resource: eds({ eds_cluster_config: {} }),
    problem: 'eds_config: must be set',
  },
  {
    rule: 'an EDS cluster with an xdstp name has no service_name',
    source: 'A47',
    resource: clusterResource('xdstp://a/envoy.config.cluster.v3.Cluster/c'),
    problem: 'service_name: must be set',
  },
  {
    rule: 'a LOGICAL_DNS cluster has no endpoints',
    source: 'A37',
    resource: { name: 'c', type: 'LOGICAL_DNS' },
    problem: 'load_assignment: must be set',
  },
  {
    rule: 'a LOGICAL_DNS cluster has two localities',
    source: 'A37',
    resource: dns({ endpoints: [group(lbEndpoint('a', 1)), locality([])] }),
    problem: 'must have exactly one locality',
  },
  {
    rule: 'a LOGICAL_DNS cluster has two endpoints',
    source: 'A37',
    resource: dns({ endpoints: [group(lbEndpoint('a', 1), lbEndpoint('b', 1))] }),
    problem: 'exactly one endpoint',
  },
  {
    rule: 'the endpoint of a LOGICAL_DNS cluster has no host',
    source: 'A37',
    resource: dns({ endpoints: [group(lbEndpoint('', 1))] }),
    problem: 'socket_address.address: must be set',
  },
  {
    rule: 'the endpoint of a LOGICAL_DNS cluster has no port',
    source: 'A37',
    resource: dns({ endpoints: [group({ endpoint: { address: { socket_address: { address: 'a' } } } })] }),
    problem: 'port_value: must be from 1',
  },
  {
    rule: 'a cluster_type has no typed_config',
    source: 'A37',
    resource: aggregate({ name: 'x' }),
    problem: 'cluster_type.typed_config: must be set',
  },
  {
    rule: 'a cluster_type is no aggregate',
    source: 'A37',
    resource: aggregate({ name: 'x', typed_config: any('x.Y') }),
    problem: `must be a ${AGGREGATE}, got "type.googleapis.com/x.Y"`,
  },
  {
    rule: 'an aggregate has no clusters',
    source: 'A37',
    resource: aggregate(leaves()),
    problem: 'clusters: must have at least one cluster',
  },
  {
    rule: 'a cluster of an aggregate has no name',
    source: 'aggregate/v3/cluster.proto',
    resource: aggregate(leaves('a', '')),
    problem: 'clusters[1]: must not be empty',
  },
  {
    rule: 'the discovery type is another',
    source: 'A27',
    resource: { name: 'c', type: 'ORIGINAL_DST' },
    problem: 'type: must be EDS, STATIC, STRICT_DNS or LOGICAL_DNS',
  },
  {
    rule: 'the discovery type is not known',
    source: 'A27',
    resource: { name: 'c', type: 12 },
    problem: 'type: must be one of',
  },
  {
    rule: 'there are transport_socket_matches',
    source: 'A29',
    resource: eds({ transport_socket_matches: [{ name: 'x' }] }),
    problem: 'transport_socket_matches: is not supported',
  },
  ...['interval', 'base_ejection_time', 'max_ejection_time'].flatMap((field): Rule[] => [
    {
      rule: `outlier_detection.${field} is negative`,
      source: 'A50',
      resource: outlier({ [field]: { seconds: -1 } }),
      problem: `outlier_detection.${field}: must be a duration of 0 s or more`,
    },
    {
      rule: `outlier_detection.${field} is no duration`,
      source: 'A50',
      resource: outlier({ [field]: { nanos: 1_000_000_000 } }),
      problem: `outlier_detection.${field}: must be a duration`,
    },
  ]),
  ...[
    'max_ejection_percent',
    'enforcing_success_rate',
    'failure_percentage_threshold',
    'enforcing_failure_percentage',
  ].map(
    (field): Rule => ({
      rule: `outlier_detection.${field} is above 100`,
      source: 'A50',
      resource: outlier({ [field]: { value: 101 } }),
      problem: `outlier_detection.${field}: must be at most 100, got 101`,
    }),
  ),
  {
    rule: 'outlier_detection.enforcing_consecutive_5xx is above 100',
    source: 'outlier_detection.proto',
    resource: outlier({ enforcing_consecutive_5xx: { value: 101 } }),
    problem: 'must be at most 100',
  },
  {
    rule: 'max_connections of the first per_host_thresholds is 0',
    source: 'A105',
    resource: perHost({ priority: 'HIGH' }, { max_connections: {} }),
    problem: 'max_connections: must be greater than 0',
  },
  {
    rule: 'connect_timeout is 0',
    source: 'cluster.proto',
    resource: eds({ connect_timeout: {} }),
    problem: 'connect_timeout: must be greater than 0',
  },
  {
    rule: 'slow start has no aggression',
    source: 'common.proto',
    resource: policies(lb('round_robin', 'RoundRobin', { slow_start_config: { aggression: {} } })),
    problem: 'slow_start_config.aggression: must be greater than 0',
  },
  {
    rule: 'a locality configuration says nothing',
    source: 'common.proto',
    resource: policies(lb('random', 'Random', { locality_lb_config: {} })),
    problem: 'locality_lb_config: must have one of',
  },
  {
    rule: 'subsets stand beside load_balancing_policy',
    source: 'Envoy, upstream_impl.cc',
    resource: { ...policies(roundRobin), lb_subset_config: {} },
    problem: 'lb_subset_config: must not be set beside load_balancing_policy',
  },
  {
    rule: 'a random subset is of none',
    source: 'A68',
    resource: policies(lb('random_subsetting', 'RandomSubsetting', { child_policy: { policies: [] } })),
    problem: 'subset_size: must be greater than 0',
  },
  {
    rule: 'the panic threshold is above 100',
    source: 'percent.proto',
    resource: eds({ common_lb_config: { healthy_panic_threshold: { value: 101 } } }),
    problem: 'common_lb_config.healthy_panic_threshold.value: must be from 0 to 100',
  },
  {
    rule: 'connections are opened ahead for more than three calls',
    source: 'cluster.proto',
    resource: eds({ preconnect_policy: { per_upstream_preconnect_ratio: { value: 4 } } }),
    problem: 'per_upstream_preconnect_ratio.value: must be from 1 to 3',
  },
  {
    rule: 'a health check has no timeout',
    source: 'health_check.proto',
    resource: eds({ health_checks: [{}] }),
    problem: 'health_checks[0].timeout: must be set',
  },
  {
    rule: 'a health check is of no kind',
    source: 'health_check.proto',
    resource: eds({
      health_checks: [
        { timeout: { seconds: 1 }, interval: { seconds: 1 }, unhealthy_threshold: {}, healthy_threshold: {} },
      ],
    }),
    problem: 'health_checks[0]: must have http_health_check',
  },
];

const ACCEPTED: readonly Exception[] = [
  {
    rule: 'lb_policy when there is a load_balancing_policy',
    source: 'A52',
    resource: { ...policies(roundRobin), lb_policy: 'MAGLEV' },
  },
  { rule: 'a policy that is not known, before one that is', source: 'A52', resource: policies(any('x.Y'), roundRobin) },
  {
    rule: 'a policy without a balancer, before one that has one',
    source: 'A52',
    resource: policies(
      ringHash({ minimum_ring_size: { value: 1 } }),
      maglev(65_537),
      wrr({}),
      any(`${POLICIES}.pick_first.v3.PickFirst`, { shuffle_address_list: true }),
      roundRobin,
    ),
  },
  {
    rule: 'a bad policy after the one that is used',
    source: 'A52',
    resource: policies(roundRobin, ringHash({ hash_function: 'MURMUR_HASH_2' })),
  },
  { rule: 'policies nested 16 deep', source: 'A52', resource: policies(nested(16)) },
  {
    rule: 'the default hash function',
    source: 'ring_hash.proto',
    resource: policies(ringHash({ hash_function: 'DEFAULT_HASH' }), roundRobin),
  },
  {
    rule: 'lb_policy of an aggregate',
    source: 'A75',
    resource: aggregate(leaves('a'), { lb_policy: 'CLUSTER_PROVIDED' }),
  },
  {
    rule: 'per_host_thresholds of HIGH priority',
    source: 'A105',
    resource: perHost({ priority: 'HIGH', max_connections: {} }),
  },
  {
    rule: 'percentages of 100, durations of 0',
    source: 'A50',
    resource: outlier({ max_ejection_percent: { value: 100 }, interval: {} }),
  },
];

describe('CDS', () => {
  test.each(NACK)('CDS: NACK when $rule ($source)', (rule) => expectRefused(CLUSTER, rule));

  test.each(ACCEPTED)('CDS: $rule: ignored or allowed, not NACKed ($source)', (exception) => {
    expect(expectAccepted(CLUSTER, exception)).toMatchObject({ name: 'c' });
  });
});

describe('CDS: what a cluster becomes', () => {
  const decode = (resource: Resource): Cluster =>
    runToEnd(decodersByType[CLUSTER](resource, 'c', { server: 'the-server', trusted: false }));

  test('an aggregate has its clusters in order, and no balancer of its own (A37, A75)', () => {
    const { discovery, settings } = decode(aggregate(leaves('b', 'a', 'b'), { lb_policy: 'CLUSTER_PROVIDED' }));
    expect(discovery).toEqual({ kind: 'aggregate', clusters: ['b', 'a', 'b'] });
    expect(settings.edsServiceName).toBeUndefined();
  });

  test('lrs_server: self is the server that the cluster came from (A27)', () => {
    expect(decode(eds({ lrs_server: { self: {} } })).settings.loadReports).toEqual({
      server: 'the-server',
      metrics: [],
    });
    expect(decode(eds({})).settings.loadReports).toBeUndefined();
  });

  test('lrs_report_endpoint_metrics: each once, without those that are not known (A85)', () => {
    const metrics = (...list: string[]) =>
      decode(eds({ lrs_server: { self: {} }, lrs_report_endpoint_metrics: list })).settings.loadReports?.metrics;
    expect(metrics('cpu_utilization', 'named_metrics.a', 'x', 'named_metrics.', 'named_metrics.a')).toEqual([
      'cpu_utilization',
      'named_metrics.a',
    ]);
    expect(metrics('named_metrics.a', 'named_metrics.*', 'mem_utilization')).toEqual([
      'named_metrics.*',
      'mem_utilization',
    ]);
  });

  test('the EDS service name is its own, or the cluster’s (A27)', () => {
    const named = eds({ eds_cluster_config: { eds_config: ads, service_name: 's' } });
    expect([decode(named), decode(eds({}))].map(({ settings }) => settings.edsServiceName)).toEqual(['s', 'c']);
  });
});
