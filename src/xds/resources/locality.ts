import type { LocalityConfig } from '../../core/model/balancer.js';
import { type Message, UINT32_MAX } from './message.js';
import { percentShare } from './percent.js';
import type { Settings } from './struct.js';

/** "If not specified, the default is 6", and 1 for `force_local_zone` - common.proto, ZoneAwareLbConfig */
const DEFAULT_MIN_CLUSTER_SIZE = 6;
const DEFAULT_MIN_LOCAL = 1;

const SPECIFIERS = ['zone_aware_lb_config', 'locality_weighted_lb_config'] as const;

/** What a policy of the API says of localities: `LocalityLbConfig`. Without one its endpoints are one set, whatever their locality. */
export function policyLocality(policy: Message): LocalityConfig {
  const config = policy.message('locality_lb_config');
  if (config === undefined) return { kind: 'none' };
  const found = specified(config);
  // "validate.required" - common.proto
  if (found === undefined) throw config.error('', `must have one of ${SPECIFIERS.join(', ')}`);
  return found;
}

/** `Cluster.common_lb_config`, for `lb_policy`. Undefined: by weight, which is gRPC's way without being asked (gRFC A27). */
export function clusterLocality(cluster: Message): LocalityConfig | undefined {
  const config = cluster.message('common_lb_config');
  return config === undefined ? undefined : specified(config);
}

function specified(config: Message): LocalityConfig | undefined {
  switch (config.oneof(...SPECIFIERS)) {
    case 'zone_aware_lb_config':
      return zoneAware(config.required('zone_aware_lb_config'));
    case 'locality_weighted_lb_config':
      config.required('locality_weighted_lb_config');
      return { kind: 'weighted' };
    default:
      return undefined;
  }
}

function zoneAware(config: Message): LocalityConfig {
  const force = config.message('force_local_zone');
  return {
    kind: 'zone_aware',
    enabled: percentShare(config, 'routing_enabled') ?? 1,
    minClusterSize: config.uint64Value('min_cluster_size') ?? DEFAULT_MIN_CLUSTER_SIZE,
    forceLocal: force === undefined ? undefined : (force.uint32Value('min_size') ?? DEFAULT_MIN_LOCAL),
    failTrafficOnPanic: config.flag('fail_traffic_on_panic'),
  };
}

/**
 * The same as settings of a policy of ours: `zone_aware` with `enabled` in [0, 1], `min_cluster_size`, `force_local` (usable endpoints) and
 * `fail_traffic_on_panic`. Undefined: by weight.
 */
export function zoneAwareSettings(settings: Settings | undefined): LocalityConfig | undefined {
  const own = settings?.nested('zone_aware');
  if (own === undefined) return undefined;
  return {
    kind: 'zone_aware',
    enabled: own.number('enabled', 0, 1, 1),
    minClusterSize: own.integer('min_cluster_size', 0, UINT32_MAX, DEFAULT_MIN_CLUSTER_SIZE),
    forceLocal: own.has('force_local') ? own.integer('force_local', 1, UINT32_MAX, DEFAULT_MIN_LOCAL) : undefined,
    failTrafficOnPanic: own.flag('fail_traffic_on_panic'),
  };
}
