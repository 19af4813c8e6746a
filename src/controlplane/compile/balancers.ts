import type { Resource } from '../../core/resources.js';
import type { LoadBalancerSpec } from '../yaml/schema/load-balancer.js';
import { any, duration, type Plain, struct, wrapped } from './proto.js';

/** One entry of a `LoadBalancingPolicy`. */
export const policyOf = (name: string, typed_config: Resource): Resource => ({
  typed_extension_config: { name, typed_config },
});

export const envoyPolicy = (file: string, message: string, fields: Resource): Resource =>
  policyOf(
    `envoy.load_balancing_policies.${file}`,
    any(`envoy.extensions.load_balancing_policies.${file}.v3.${message}`, fields),
  );

/** One that only inmesh knows, or an application of ours: a TypedStruct, as gRFC A52 has it. */
export const structPolicy = (name: string, settings: { readonly [key: string]: Plain }): Resource =>
  policyOf(name, any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${name}`, value: struct(settings) }));

export const roundRobin = (balancer: LoadBalancerSpec | undefined): Resource =>
  envoyPolicy('round_robin', 'RoundRobin', { ...localities(balancer), ...slowStart(balancer) });

export const random = (balancer: LoadBalancerSpec | undefined): Resource =>
  envoyPolicy('random', 'Random', localities(balancer));

export const leastRequest = (balancer: LoadBalancerSpec | undefined): Resource =>
  envoyPolicy('least_request', 'LeastRequest', {
    choice_count: wrapped(balancer?.choiceCount ?? 2),
    ...(balancer?.selectionMethod === 'FULL_SCAN' && { selection_method: 'FULL_SCAN' }),
    ...(balancer?.activeRequestBias !== undefined && {
      active_request_bias: runtimeDouble(balancer.activeRequestBias, 'active_request_bias'),
    }),
    ...localities(balancer),
    ...slowStart(balancer),
  });

export function peakEwma(balancer: LoadBalancerSpec | undefined): Resource {
  const slow = balancer?.warmup;
  return structPolicy('inmesh.dev/peak_ewma', {
    ...(balancer?.decay !== undefined && { decay_ms: balancer.decay }),
    ...(balancer?.defaultRtt !== undefined && { default_rtt_ms: balancer.defaultRtt }),
    ...zoneAware(balancer?.localityLbSetting?.zoneAware),
    ...(slow !== undefined && {
      slow_start: {
        window_ms: slow.duration,
        ...(slow.minimumPercent !== undefined && { min_weight: slow.minimumPercent / 100 }),
        ...(slow.aggression !== undefined && { aggression: slow.aggression }),
      },
    }),
  });
}

/** gRFC A58. It has no field for localities: their weights are `WrrLocality`'s, which stands around it. */
export function weightedRoundRobin(balancer: LoadBalancerSpec | undefined): Resource {
  const given = balancer?.weightedRoundRobin;
  const time = (field: string, ms: number | undefined): Resource => (ms === undefined ? {} : { [field]: duration(ms) });
  const policy = envoyPolicy('client_side_weighted_round_robin', 'ClientSideWeightedRoundRobin', {
    ...(given?.enableOobLoadReport === true && { enable_oob_load_report: wrapped(true) }),
    ...time('oob_reporting_period', given?.oobReportingPeriod),
    ...time('blackout_period', given?.blackoutPeriod),
    ...time('weight_expiration_period', given?.weightExpirationPeriod),
    ...time('weight_update_period', given?.weightUpdatePeriod),
    ...(given?.errorUtilizationPenalty !== undefined && {
      error_utilization_penalty: wrapped(given.errorUtilizationPenalty),
    }),
    ...(given?.metricNamesForComputingUtilization !== undefined && {
      metric_names_for_computing_utilization: given.metricNamesForComputingUtilization,
    }),
    ...slowStart(balancer),
  });
  return envoyPolicy('wrr_locality', 'WrrLocality', { endpoint_picking_policy: { policies: [policy] } });
}

export const pickFirst = (balancer: LoadBalancerSpec | undefined): Resource =>
  envoyPolicy('pick_first', 'PickFirst', balancer?.shuffleAddressList === true ? { shuffle_address_list: true } : {});

export function ringHash(balancer: LoadBalancerSpec | undefined): Resource {
  const ring = balancer?.consistentHash?.ringHash;
  return envoyPolicy('ring_hash', 'RingHash', {
    hash_function: 'XX_HASH',
    ...(ring?.minimumRingSize !== undefined && { minimum_ring_size: wrapped(ring.minimumRingSize) }),
    ...(ring?.maximumRingSize !== undefined && { maximum_ring_size: wrapped(ring.maximumRingSize) }),
    ...hashing(balancer),
  });
}

export function maglev(balancer: LoadBalancerSpec | undefined): Resource {
  const size = balancer?.consistentHash?.maglev?.tableSize;
  return envoyPolicy('maglev', 'Maglev', {
    ...(size !== undefined && { table_size: wrapped(size) }),
    ...hashing(balancer),
  });
}

function hashing(balancer: LoadBalancerSpec | undefined): Resource {
  const { useHostnameForHashing, hashBalanceFactor } = balancer?.consistentHash ?? {};
  const config = {
    ...(useHostnameForHashing === true && { use_hostname_for_hashing: true }),
    ...(hashBalanceFactor !== undefined && { hash_balance_factor: wrapped(hashBalanceFactor) }),
  };
  return Object.keys(config).length === 0 ? {} : { consistent_hashing_lb_config: config };
}

function slowStart(balancer: LoadBalancerSpec | undefined): Resource {
  const slow = balancer?.warmup;
  if (slow === undefined) return {};
  return {
    slow_start_config: {
      slow_start_window: duration(slow.duration),
      ...(slow.aggression !== undefined && { aggression: runtimeDouble(slow.aggression, 'aggression') }),
      ...(slow.minimumPercent !== undefined && { min_weight_percent: { value: slow.minimumPercent } }),
    },
  };
}

/** Envoy asks for the name of a runtime key too, which may be one that nobody sets. */
const runtimeDouble = (value: number, key: string): Resource => ({
  default_value: value,
  runtime_key: `inmesh.dev.${key}`,
});

type ZoneAwareSpec = NonNullable<LoadBalancerSpec['localityLbSetting']>['zoneAware'];

/** As a setting of a policy of ours. */
function zoneAware(given: ZoneAwareSpec): { readonly zone_aware?: Plain } {
  if (given === undefined) return {};
  return {
    zone_aware: {
      enabled: given.routingEnabled / 100,
      min_cluster_size: given.minClusterSize,
      ...(given.forceLocalZone !== undefined && { force_local: given.forceLocalZone.minSize }),
      ...(given.failTrafficOnPanic === true && { fail_traffic_on_panic: true }),
    },
  };
}

/** `locality_lb_config`. Without one the endpoints' own weights decide, which add up to the localities' (`endpoints.ts`). */
function localities(balancer: LoadBalancerSpec | undefined): Resource {
  const { zoneAware, distribute } = balancer?.localityLbSetting ?? {};
  if (zoneAware !== undefined) {
    const { routingEnabled, minClusterSize, forceLocalZone, failTrafficOnPanic } = zoneAware;
    const zone_aware_lb_config = {
      routing_enabled: { value: routingEnabled },
      min_cluster_size: wrapped(minClusterSize),
      ...(failTrafficOnPanic === true && { fail_traffic_on_panic: true }),
      ...(forceLocalZone !== undefined && { force_local_zone: { min_size: wrapped(forceLocalZone.minSize) } }),
    };
    return { locality_lb_config: { zone_aware_lb_config } };
  }
  return distribute === undefined ? {} : { locality_lb_config: { locality_weighted_lb_config: {} } };
}
