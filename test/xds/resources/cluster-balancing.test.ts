import { describe, expect, test } from 'vitest';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { OWN } from '../../../src/xds/origin.js';
import { decodersFor } from '../../../src/xds/resources/decoders.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, clusterResource, struct } from '../../support/xds-resources.js';

const settings = (fields: Resource) => decoders[CLUSTER](clusterResource('c', fields), 'c').settings;
const policy = (typed_config: Resource): Resource => ({ typed_extension_config: { name: 'p', typed_config } });
const list = (...configs: Resource[]): Resource => ({ policies: configs.map(policy) });
const policies = (...configs: Resource[]): Resource => ({ load_balancing_policy: list(...configs) });
const lb = (name: string, message: string, fields: Resource = {}) =>
  any(`envoy.extensions.load_balancing_policies.${name}.v3.${message}`, fields);
const roundRobin = (fields: Resource = {}) => lb('round_robin', 'RoundRobin', fields);
const typed = (type: string, fields: Readonly<Record<string, Resource>> = {}) =>
  any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${type}`, value: struct(fields) });
const keysSubset = (keys: string[], fallback_keys_subset: string[] = []) => ({
  lb_subset_config: { subset_selectors: [{ keys, fallback_policy: 'KEYS_SUBSET', fallback_keys_subset }] },
});
const number = (number_value: number): Resource => ({ number_value });
const wrapped = (value: unknown): Resource => ({ value });

describe('a policy of the API', () => {
  test.each<[string, Resource, unknown]>([
    [
      'ring hash with its defaults',
      lb('ring_hash', 'RingHash'),
      { kind: 'ring_hash', minSize: 1_024, maxSize: 8_388_608, useHostname: false },
    ],
    [
      'ring hash',
      lb('ring_hash', 'RingHash', {
        hash_function: 'XX_HASH',
        minimum_ring_size: wrapped(8),
        maximum_ring_size: wrapped('16'),
        consistent_hashing_lb_config: { use_hostname_for_hashing: true, hash_balance_factor: wrapped(150) },
      }),
      { kind: 'ring_hash', minSize: 8, maxSize: 16, useHostname: true, balanceFactor: 1.5 },
    ],
    [
      'ring hash by names, in the deprecated fields',
      lb('ring_hash', 'RingHash', { use_hostname_for_hashing: true, hash_balance_factor: wrapped(200) }),
      { kind: 'ring_hash', minSize: 1_024, maxSize: 8_388_608, useHostname: true, balanceFactor: 2 },
    ],
    [
      'ring hash, where the deprecated fields are beside the others',
      lb('ring_hash', 'RingHash', { hash_balance_factor: wrapped(200), consistent_hashing_lb_config: {} }),
      { kind: 'ring_hash', minSize: 1_024, maxSize: 8_388_608, useHostname: false },
    ],
    ['Maglev with its default', lb('maglev', 'Maglev'), { kind: 'maglev', tableSize: 65_537, useHostname: false }],
    [
      'Maglev',
      lb('maglev', 'Maglev', { table_size: wrapped(101) }),
      { kind: 'maglev', tableSize: 101, useHostname: false },
    ],
    [
      'Maglev with bounded loads',
      lb('maglev', 'Maglev', { consistent_hashing_lb_config: { hash_balance_factor: wrapped(100) } }),
      { kind: 'maglev', tableSize: 65_537, useHostname: false, balanceFactor: 1 },
    ],
    [
      'least request that looks at every endpoint',
      lb('least_request', 'LeastRequest', { selection_method: 'FULL_SCAN' }),
      { kind: 'least_request', choiceCount: 2, fullScan: true },
    ],
    ['pick first', lb('pick_first', 'PickFirst'), { kind: 'pick_first', shuffle: false }],
    [
      'pick first, shuffled',
      lb('pick_first', 'PickFirst', { shuffle_address_list: true }),
      { kind: 'pick_first', shuffle: true },
    ],
    [
      'least request with a bias',
      lb('least_request', 'LeastRequest', { active_request_bias: { default_value: 0.5, runtime_key: 'k' } }),
      { kind: 'least_request', choiceCount: 2, activeRequestBias: 0.5 },
    ],
  ])('%s', (_, config, balancer) => {
    expect(settings(policies(config)).balancer).toEqual(balancer);
  });

  test('weighted round robin has the defaults of gRFC A58, and takes all that it says', () => {
    const decode = (fields: Resource) =>
      settings(policies(lb('client_side_weighted_round_robin', 'ClientSideWeightedRoundRobin', fields))).balancer;
    expect(decode({})).toEqual({
      kind: 'weighted_round_robin',
      outOfBand: false,
      outOfBandPeriodMs: 10_000,
      blackoutMs: 10_000,
      expirationMs: 180_000,
      updateMs: 1_000,
      errorPenalty: 1,
      metrics: [],
    });
    expect(
      decode({
        enable_oob_load_report: wrapped(true),
        oob_reporting_period: { seconds: 5 },
        blackout_period: {},
        weight_expiration_period: { seconds: 60 },
        weight_update_period: { nanos: 1 },
        error_utilization_penalty: wrapped(2.5),
        metric_names_for_computing_utilization: ['named_metrics.foo', 'mem_utilization'],
      }),
    ).toEqual({
      kind: 'weighted_round_robin',
      outOfBand: true,
      outOfBandPeriodMs: 5_000,
      blackoutMs: 0,
      expirationMs: 60_000,
      // "Values less than 100ms are capped at 100ms." - client_side_weighted_round_robin.proto
      updateMs: 100,
      errorPenalty: 2.5,
      metrics: ['named_metrics.foo', 'mem_utilization'],
    });
  });
});

describe('lb_policy', () => {
  test('RING_HASH and MAGLEV have defaults for all of their values (A42)', () => {
    expect(settings({ lb_policy: 'RING_HASH' }).balancer).toMatchObject({ kind: 'ring_hash', minSize: 1_024 });
    expect(settings({ lb_policy: 'MAGLEV' }).balancer).toMatchObject({ kind: 'maglev', tableSize: 65_537 });
  });

  test('takes what the cluster says of hashing', () => {
    const common_lb_config = { consistent_hashing_lb_config: { use_hostname_for_hashing: true } };
    const ring_hash_lb_config = { minimum_ring_size: wrapped(7), maximum_ring_size: wrapped(9) };
    expect(settings({ lb_policy: 'RING_HASH', ring_hash_lb_config, common_lb_config }).balancer).toEqual({
      kind: 'ring_hash',
      minSize: 7,
      maxSize: 9,
      useHostname: true,
    });
    const maglev_lb_config = { table_size: wrapped(11) };
    expect(settings({ lb_policy: 'MAGLEV', maglev_lb_config, common_lb_config }).balancer).toEqual({
      kind: 'maglev',
      tableSize: 11,
      useHostname: true,
    });
  });
});

describe('localities', () => {
  const zone_aware_lb_config = {
    routing_enabled: wrapped(50),
    min_cluster_size: wrapped(4),
    fail_traffic_on_panic: true,
  };
  const zoneAware = { kind: 'zone_aware', enabled: 0.5, minClusterSize: 4, forceLocal: undefined };

  test('are by weight under lb_policy, without being asked (A27)', () => {
    expect(settings({}).locality).toBeUndefined();
    expect(settings({ common_lb_config: { locality_weighted_lb_config: {} } }).locality).toEqual({ kind: 'weighted' });
    expect(settings({ common_lb_config: { zone_aware_lb_config } }).locality).toMatchObject(zoneAware);
  });

  test('do not count under a policy that does not speak of them, and count within wrr_locality (A52)', () => {
    expect(settings(policies(roundRobin())).locality).toEqual({ kind: 'none' });
    const inside = lb('wrr_locality', 'WrrLocality', { endpoint_picking_policy: list(roundRobin()) });
    expect(settings(policies(inside)).locality).toEqual({ kind: 'weighted' });
    expect(settings(policies(typed('inmesh.dev/peak_ewma'))).locality).toBeUndefined();
  });

  test('are as the policy says, and then not as the cluster says', () => {
    const said = roundRobin({ locality_lb_config: { zone_aware_lb_config: { force_local_zone: {} } } });
    const found = settings({ ...policies(said), common_lb_config: { locality_weighted_lb_config: {} } });
    expect(found.locality).toEqual({
      kind: 'zone_aware',
      enabled: 1,
      minClusterSize: 6,
      forceLocal: 1,
      failTrafficOnPanic: false,
    });
  });

  test('the own zone may ask for a number of endpoints', () => {
    const said = roundRobin({
      locality_lb_config: { zone_aware_lb_config: { force_local_zone: { min_size: wrapped(3) } } },
    });
    expect(settings(policies(said)).locality).toMatchObject({ forceLocal: 3 });
  });
});

describe('slow start', () => {
  const slow_start_config = {
    slow_start_window: { seconds: 30 },
    aggression: { default_value: 2, runtime_key: 'k' },
    min_weight_percent: wrapped(5),
  };
  const expected = { windowMs: 30_000, aggression: 2, minWeight: 0.05 };

  test.each<[string, Resource]>([
    ['round robin', policies(roundRobin({ slow_start_config }))],
    ['least request', policies(lb('least_request', 'LeastRequest', { slow_start_config }))],
    [
      'weighted round robin',
      policies(lb('client_side_weighted_round_robin', 'ClientSideWeightedRoundRobin', { slow_start_config })),
    ],
    ['lb_policy ROUND_ROBIN', { round_robin_lb_config: { slow_start_config } }],
    ['lb_policy LEAST_REQUEST', { lb_policy: 'LEAST_REQUEST', least_request_lb_config: { slow_start_config } }],
    [
      'peak EWMA',
      policies(
        typed('inmesh.dev/peak_ewma', {
          slow_start: {
            struct_value: struct({ window_ms: number(30_000), aggression: number(2), min_weight: number(0.05) }),
          },
        }),
      ),
    ],
  ])('of %s', (_, fields) => {
    expect(settings(fields).slowStart).toEqual(expected);
  });

  test('has defaults, and is none without a window', () => {
    const of = (config: Resource) => settings(policies(roundRobin({ slow_start_config: config }))).slowStart;
    expect(of({ slow_start_window: { seconds: 1 } })).toEqual({ windowMs: 1_000, aggression: 1, minWeight: 0.1 });
    expect(of({})).toBeUndefined();
  });
});

describe('subsets', () => {
  const config = {
    fallback_policy: 'DEFAULT_SUBSET',
    default_subset: struct({ stage: { string_value: 'prod' }, n: number(1) }),
    subset_selectors: [{ keys: ['version', 'stage', 'version'] }, { keys: ['stage'], fallback_policy: 'ANY_ENDPOINT' }],
  };
  const expected = {
    fallback: 'default',
    defaultSubset: { stage: 'prod', n: '1' },
    selectors: [
      { keys: ['version', 'stage'], fallback: undefined },
      { keys: ['stage'], fallback: 'any' },
    ],
  };

  test('are the cluster’s under lb_policy', () => {
    const found = settings({ lb_subset_config: config, lb_policy: 'RANDOM' });
    expect(found.subsets).toEqual(expected);
    expect(found.balancer).toEqual({ kind: 'random' });
  });

  test('are a policy around another', () => {
    const subset_lb_policy = list(lb('maglev', 'Maglev'));
    const found = settings(policies(lb('subset', 'Subset', { ...config, subset_lb_policy })));
    expect(found.subsets).toEqual(expected);
    expect(found.balancer.kind).toBe('maglev');
  });

  test('fall back to fewer of their keys', () => {
    expect(settings(keysSubset(['a', 'b', 'c'], ['c', 'a', 'c'])).subsets?.selectors).toEqual([
      { keys: ['a', 'b', 'c'], fallback: 'keys', fallbackKeys: ['c', 'a'] },
    ]);
    const subset_lb_policy = list(roundRobin());
    const inPolicy = lb('subset', 'Subset', { ...keysSubset(['a', 'b'], ['b'])['lb_subset_config'], subset_lb_policy });
    expect(settings(policies(inPolicy)).subsets?.selectors).toEqual([
      { keys: ['a', 'b'], fallback: 'keys', fallbackKeys: ['b'] },
    ]);
  });

  test('have no fallback unless there is one', () => {
    expect(settings({ lb_subset_config: {} }).subsets).toEqual({ fallback: 'none', defaultSubset: {}, selectors: [] });
  });
});

describe('zones, for a policy of ours', () => {
  const zones = (fields: Readonly<Record<string, Resource>>) =>
    settings(policies(typed('inmesh.dev/peak_ewma', { zone_aware: { struct_value: struct(fields) } }))).locality;

  test('have the defaults of the API', () => {
    expect(zones({})).toEqual({
      kind: 'zone_aware',
      enabled: 1,
      minClusterSize: 6,
      forceLocal: undefined,
      failTrafficOnPanic: false,
    });
  });

  test('take every field', () => {
    const fields = { enabled: number(0.5), min_cluster_size: number(3), force_local: number(2) };
    expect(zones({ ...fields, fail_traffic_on_panic: { bool_value: true } })).toEqual({
      kind: 'zone_aware',
      enabled: 0.5,
      minClusterSize: 3,
      forceLocal: 2,
      failTrafficOnPanic: true,
    });
  });
});

describe('apertures', () => {
  test('random subsetting is a policy around another (A68)', () => {
    const config = lb('random_subsetting', 'RandomSubsetting', {
      subset_size: wrapped(20),
      child_policy: list(any('x.Y'), lb('pick_first', 'PickFirst')),
    });
    const found = settings(policies(config));
    expect(found.aperture).toEqual({ kind: 'random_subsetting', size: 20 });
    expect(found.balancer).toEqual({ kind: 'pick_first', shuffle: false });
  });

  test('random subsetting is passed over when nothing inside is supported', () => {
    const config = lb('random_subsetting', 'RandomSubsetting', {
      subset_size: wrapped(1),
      child_policy: list(any('x.Y')),
    });
    const found = settings(policies(config, roundRobin()));
    expect(found.aperture).toBeUndefined();
    expect(found.balancer).toEqual({ kind: 'round_robin' });
  });

  test('the deterministic one holds for the policy that follows it, which others take alone', () => {
    const found = settings(policies(typed('inmesh.dev/deterministic_aperture'), any('x.Y'), roundRobin()));
    expect(found.aperture).toEqual({ kind: 'deterministic_aperture', floor: 12, peer: undefined });
    expect(found.balancer).toEqual({ kind: 'round_robin' });
  });

  test('the deterministic one may know its place', () => {
    const place = { floor: number(3), peer_index: number(2), peer_count: number(10) };
    const found = settings(policies(typed('inmesh.dev/deterministic_aperture', place), roundRobin()));
    expect(found.aperture).toEqual({ kind: 'deterministic_aperture', floor: 3, peer: { index: 2, count: 10 } });
  });
});

describe('policies of the application (A52)', () => {
  const decode = (fields: Resource) => {
    const context = { certificateProviders: new Set<string>(), balancers: new Set(['mine']) };
    return runToEnd(decodersFor(context)[CLUSTER](clusterResource('c', fields), 'c', OWN)).settings;
  };

  test('are known by the name after the last "/", and given their configuration as it is', () => {
    const value = { list_value: { values: [{ bool_value: true }, { null_value: 'NULL_VALUE' }] } };
    const config = typed('some.company/deep/mine', { a: number(1), b: value, c: { struct_value: struct({}) } });
    expect(decode(policies(config, roundRobin())).balancer).toEqual({
      kind: 'custom',
      name: 'mine',
      config: { a: 1, b: [true, null], c: {} },
    });
  });

  test('are known by their whole type, too', () => {
    const context = { certificateProviders: new Set<string>(), balancers: new Set(['example.org/nearest']) };
    const config = clusterResource('c', policies(typed('example.org/nearest')));
    const found = runToEnd(decodersFor(context)[CLUSTER](config, 'c', OWN));
    expect(found.settings.balancer).toEqual({ kind: 'custom', name: 'example.org/nearest', config: {} });
  });

  test('are passed over when nobody has registered them', () => {
    expect(decode(policies(typed('x/other'), roundRobin())).balancer).toEqual({ kind: 'round_robin' });
    expect(settings(policies(typed('x/mine'), roundRobin())).balancer).toEqual({ kind: 'round_robin' });
  });

  test('are found within others', () => {
    const inside = lb('wrr_locality', 'WrrLocality', { endpoint_picking_policy: list(typed('x/mine')) });
    expect(decode(policies(inside))).toMatchObject({ balancer: { kind: 'custom' }, locality: { kind: 'weighted' } });
  });
});

describe('what all policies share', () => {
  test('the panic threshold is Envoy’s when it is set, and none of ours when not', () => {
    expect(settings({}).panicThreshold).toBeUndefined();
    expect(settings({ common_lb_config: {} }).panicThreshold).toBeUndefined();
    expect(settings({ common_lb_config: { healthy_panic_threshold: wrapped(40) } }).panicThreshold).toBe(0.4);
    expect(settings({ common_lb_config: { healthy_panic_threshold: {} } }).panicThreshold).toBe(0);
  });

  test('override_host_status says with which health a session keeps its endpoint (A55)', () => {
    const of = (statuses?: string[]) =>
      settings({ common_lb_config: { override_host_status: statuses && { statuses } } }).sessionStatuses;
    expect(of()).toBeUndefined();
    expect(of([])).toEqual([]);
    expect(of(['HEALTHY', 'DRAINING', 'UNHEALTHY', 'TIMEOUT'])).toEqual(['healthy', 'draining', 'unhealthy']);
  });
});

describe('a cluster is refused', () => {
  const deep = (depth: number): Resource =>
    depth === 0 ? struct({ a: number(1) }) : struct({ a: { struct_value: deep(depth - 1) } });
  test.each<[string, Resource, string]>([
    [
      'when slow start has no aggression',
      policies(roundRobin({ slow_start_config: { aggression: {} } })),
      'slow_start_config.aggression: must be greater than 0',
    ],
    [
      'when slow start has more than all of a weight',
      policies(roundRobin({ slow_start_config: { min_weight_percent: wrapped(101) } })),
      'min_weight_percent.value: must be from 0 to 100',
    ],
    [
      'when a bias is negative',
      policies(lb('least_request', 'LeastRequest', { active_request_bias: { default_value: -1 } })),
      'active_request_bias.default_value: must be from 0 to 100',
    ],
    [
      'when a locality configuration says nothing',
      policies(roundRobin({ locality_lb_config: {} })),
      'locality_lb_config: must have one of zone_aware_lb_config, locality_weighted_lb_config',
    ],
    [
      'when more than all calls are to stay in their zone',
      { common_lb_config: { zone_aware_lb_config: { routing_enabled: wrapped(101) } } },
      'routing_enabled.value: must be from 0 to 100',
    ],
    [
      'when the panic threshold is negative',
      { common_lb_config: { healthy_panic_threshold: wrapped(-1) } },
      'common_lb_config.healthy_panic_threshold.value: must be from 0 to 100',
    ],
    [
      'when load is bounded below the average',
      policies(lb('maglev', 'Maglev', { consistent_hashing_lb_config: { hash_balance_factor: wrapped(99) } })),
      'hash_balance_factor: must be at least 100',
    ],
    [
      'when a selector of subsets has no keys',
      { lb_subset_config: { subset_selectors: [{}] } },
      'lb_subset_config.subset_selectors[0].keys: must have at least one',
    ],
    [
      'when a subset falls back to no keys',
      keysSubset(['a']),
      'subset_selectors[0].fallback_keys_subset: must have at least one',
    ],
    [
      'when a subset falls back to other keys',
      keysSubset(['a', 'b'], ['c']),
      'subset_selectors[0].fallback_keys_subset: must be some of keys, got "c"',
    ],
    [
      'when a subset falls back to itself',
      keysSubset(['a', 'b'], ['b', 'a', 'b']),
      'subset_selectors[0].fallback_keys_subset: must be fewer than keys',
    ],
    [
      'when the zone of a policy of ours is to have more than all calls',
      policies(typed('inmesh.dev/peak_ewma', { zone_aware: { struct_value: struct({ enabled: number(1.5) }) } })),
      'fields["enabled"]: must be a number from 0 to 1',
    ],
    [
      'when the metadata has a list to fall back to',
      { lb_subset_config: { metadata_fallback_policy: 'FALLBACK_LIST' } },
      'metadata_fallback_policy: must be METADATA_NO_FALLBACK',
    ],
    [
      'when the default subset asks for a list',
      { lb_subset_config: { default_subset: struct({ a: { list_value: {} } }) } },
      'default_subset.fields["a"]: must be a string, a number or true or false',
    ],
    ['when a subset policy has nothing inside', policies(lb('subset', 'Subset')), 'subset_lb_policy: must be set'],
    [
      'when a random subset is of none (A68)',
      policies(lb('random_subsetting', 'RandomSubsetting', { child_policy: list(roundRobin()) })),
      'subset_size: must be greater than 0',
    ],
    [
      'when a peer is none of those that there are',
      policies(
        typed('inmesh.dev/deterministic_aperture', { peer_index: number(3), peer_count: number(3) }),
        roundRobin(),
      ),
      'peer_index"]: must be less than peer_count (3), got 3',
    ],
    [
      'when an aperture has no policy after it',
      policies(typed('inmesh.dev/deterministic_aperture')),
      'must have a supported policy',
    ],
    [
      'when apertures are stacked more than 16 deep',
      policies(...Array.from({ length: 20 }, () => typed('inmesh.dev/deterministic_aperture')), roundRobin()),
      'must not be nested more than 16 deep',
    ],
    [
      'when override_host_status has what is none',
      { common_lb_config: { override_host_status: { statuses: ['FINE'] } } },
      'override_host_status.statuses[0]: must be one of UNKNOWN',
    ],
  ])('%s', (_, fields, problem) => {
    expect(refusal(() => settings(fields))).toContain(problem);
  });

  test('when the configuration of an application’s policy is nested without end', () => {
    const context = { certificateProviders: new Set<string>(), balancers: new Set(['mine']) };
    const config = any('xds.type.v3.TypedStruct', { type_url: 'x/mine', value: deep(100) });
    const read = () => runToEnd(decodersFor(context)[CLUSTER](clusterResource('c', policies(config)), 'c', OWN));
    expect(refusal(read)).toContain('must not be nested more than 64 deep');
  });
});
