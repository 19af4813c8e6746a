import type { Resource } from '../../../../src/core/resources.js';
import { any, type Make } from './make.js';

const POLICIES = 'envoy.extensions.load_balancing_policies';

const policy = (typed_config: Resource): Resource => ({ typed_extension_config: { name: 'p', typed_config } });

/** The part of a `Cluster` that says how its endpoints are chosen. */
export function balancing(make: Make): Resource {
  return make.any<Resource>(
    () => ({ ...common(make), ...legacySubsets(make) }),
    () => ({
      lb_policy: make.one('ROUND_ROBIN', 'RANDOM'),
      round_robin_lb_config: make.maybe(0.5, () => ({ slow_start_config: slowStart(make) })),
      ...common(make),
      ...legacySubsets(make),
    }),
    () => ({
      lb_policy: 'LEAST_REQUEST',
      least_request_lb_config: make.maybe(0.7, () => leastRequest(make)),
      ...common(make),
      ...legacySubsets(make),
    }),
    () => ({
      lb_policy: 'RING_HASH',
      ring_hash_lb_config: make.maybe(0.7, () => ring(make)),
      ...common(make),
      ...legacySubsets(make),
    }),
    () => ({
      lb_policy: 'MAGLEV',
      maglev_lb_config: make.maybe(0.7, () => ({ table_size: { value: make.one(2, 101, 65_537) } })),
      ...common(make),
      ...legacySubsets(make),
    }),
    () => ({
      load_balancing_policy: {
        policies: [
          ...make.list(0, 2, () => policy(make.unknown())),
          ...make.list(0, 1, () => policy(aperture(make))),
          policy(known(make, 3)),
          ...make.list(0, 1, () => policy(make.unknown())),
        ],
      },
      ...common(make),
    }),
  );
}

const common = (make: Make): Resource => ({
  common_lb_config: make.maybe(0.3, () => ({
    healthy_panic_threshold: make.maybe(0.5, () => make.percent()),
    consistent_hashing_lb_config: make.maybe(0.3, () => hashing(make)),
    override_host_status: make.maybe(0.4, () => ({ statuses: ['HEALTHY', 'DRAINING', 'TIMEOUT'] })),
    ...make.any<Resource>(
      () => ({}),
      () => ({ zone_aware_lb_config: zoneAware(make) }),
      () => ({ locality_weighted_lb_config: {} }),
    ),
  })),
});

const legacySubsets = (make: Make): Resource => ({ lb_subset_config: make.maybe(0.2, () => subsets(make)) });

const hashing = (make: Make): Resource => ({
  use_hostname_for_hashing: make.flag(),
  hash_balance_factor: make.maybe(0.3, () => make.uint32(100)),
});

const zoneAware = (make: Make): Resource => ({
  routing_enabled: make.maybe(0.5, () => make.percent()),
  min_cluster_size: make.maybe(0.5, () => make.uint32()),
  fail_traffic_on_panic: make.maybe(0.3, () => make.flag()),
});

const slowStart = (make: Make): Resource => ({
  slow_start_window: make.maybe(0.8, () => make.duration()),
  aggression: make.maybe(0.5, () => ({ default_value: make.one(0.1, 1, 1e9), runtime_key: 'k' })),
  min_weight_percent: make.maybe(0.5, () => make.percent()),
});

const leastRequest = (make: Make): Resource => ({
  choice_count: make.maybe(0.7, () => make.uint32(2)),
  active_request_bias: make.maybe(0.4, () => ({ default_value: make.one(0, 0.5, 100), runtime_key: 'k' })),
  slow_start_config: make.maybe(0.3, () => slowStart(make)),
});

const scan = (make: Make): Resource => ({
  selection_method: make.maybe(0.4, () => make.one('N_CHOICES', 'FULL_SCAN')),
});

const ring = (make: Make): Resource => ({
  hash_function: make.maybe(0.5, () => 'XX_HASH'),
  minimum_ring_size: make.maybe(0.7, () => ({ value: make.int(1, 1_024) })),
  maximum_ring_size: make.maybe(0.7, () => ({ value: make.int(1_024, 8_388_608) })),
});

const subsets = (make: Make): Resource => ({
  fallback_policy: make.one('NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET'),
  default_subset: make.maybe(0.5, () => ({ fields: { version: { string_value: 'v1' }, n: { number_value: 1 } } })),
  subset_selectors: make.list(0, 2, () =>
    make.any<Resource>(
      () => ({
        keys: make.list(1, 2, (i) => make.one('version', `k${i}`)),
        fallback_policy: make.maybe(0.5, () =>
          make.one('NOT_DEFINED', 'NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET'),
        ),
      }),
      () => ({
        keys: ['version', 'k1'],
        fallback_policy: 'KEYS_SUBSET',
        fallback_keys_subset: [make.one('version', 'k1')],
      }),
    ),
  ),
  panic_mode_any: make.maybe(0.2, () => make.flag()),
});

const localities = (make: Make): Resource | undefined =>
  make.maybe(0.4, () =>
    make.any<Resource>(
      () => ({ locality_weighted_lb_config: {} }),
      () => ({
        zone_aware_lb_config: {
          ...zoneAware(make),
          force_local_zone: make.maybe(0.5, () => ({ min_size: make.maybe(0.5, () => make.uint32(1)) })),
        },
      }),
    ),
  );

const typed = (type: string, fields: Record<string, unknown>): Resource =>
  any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/inmesh.dev/${type}`, value: { fields } });

const aperture = (make: Make): Resource =>
  typed('deterministic_aperture', {
    floor: { number_value: make.int(1, 20) },
    ...(make.flag() && { peer_index: { number_value: make.int(0, 4) }, peer_count: { number_value: make.int(5, 9) } }),
  });

const peakEwma = (make: Make): Resource =>
  typed('peak_ewma', {
    decay_ms: { number_value: make.int(1, 3_600_000) },
    default_rtt_ms: { number_value: make.int(0, 3_600_000) },
    ...(make.flag() && {
      zone_aware: {
        struct_value: {
          fields: { enabled: { number_value: make.one(0, 0.5, 1) }, force_local: { number_value: make.int(1, 5) } },
        },
      },
    }),
    ...(make.flag() && {
      slow_start: {
        struct_value: { fields: { window_ms: { number_value: make.int(0, 60_000) }, aggression: { number_value: 1 } } },
      },
    }),
  });

/** A policy that there is a balancer for. */
function known(make: Make, depth: number): Resource {
  const inner = (): Resource => ({
    policies: [...make.list(0, 1, () => policy(make.unknown())), policy(known(make, depth - 1))],
  });
  if (depth > 0 && make.random.int(3) === 0) {
    return make.any<Resource>(
      () => any(`${POLICIES}.wrr_locality.v3.WrrLocality`, { endpoint_picking_policy: inner() }),
      () => any(`${POLICIES}.subset.v3.Subset`, { ...subsets(make), subset_lb_policy: inner() }),
      () =>
        any(`${POLICIES}.random_subsetting.v3.RandomSubsetting`, {
          subset_size: make.uint32(1),
          child_policy: inner(),
        }),
    );
  }
  return make.any<Resource>(
    () =>
      any(`${POLICIES}.round_robin.v3.RoundRobin`, {
        slow_start_config: make.maybe(0.4, () => slowStart(make)),
        locality_lb_config: localities(make),
      }),
    () => any(`${POLICIES}.random.v3.Random`, { locality_lb_config: localities(make) }),
    () =>
      any(`${POLICIES}.least_request.v3.LeastRequest`, {
        ...leastRequest(make),
        ...scan(make),
        locality_lb_config: localities(make),
      }),
    () =>
      any(`${POLICIES}.ring_hash.v3.RingHash`, {
        ...ring(make),
        consistent_hashing_lb_config: make.maybe(0.3, () => hashing(make)),
      }),
    () =>
      any(`${POLICIES}.maglev.v3.Maglev`, {
        table_size: { value: make.one(2, 101, 65_537) },
        consistent_hashing_lb_config: make.maybe(0.3, () => hashing(make)),
      }),
    () => any(`${POLICIES}.pick_first.v3.PickFirst`, { shuffle_address_list: make.flag() }),
    () =>
      any(`${POLICIES}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`, {
        enable_oob_load_report: make.maybe(0.3, () => make.bool()),
        oob_reporting_period: make.maybe(0.3, () => make.duration()),
        blackout_period: make.maybe(0.5, () => make.duration()),
        weight_expiration_period: make.maybe(0.3, () => make.duration()),
        weight_update_period: make.maybe(0.3, () => make.duration()),
        error_utilization_penalty: make.maybe(0.5, () => ({ value: make.one(0, 1, 2.5) })),
        metric_names_for_computing_utilization: make.maybe(0.3, () => ['named_metrics.x', 'cpu_utilization']),
        slow_start_config: make.maybe(0.2, () => slowStart(make)),
      }),
    () => peakEwma(make),
  );
}
