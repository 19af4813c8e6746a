import type { PolicyNames } from './context.js';
import { clusterLocality } from './locality.js';
import { hashingOf, leastRequest, maglev, ringHash } from './load-balancing-configs.js';
import { type LoadBalancing, plainly } from './load-balancing-parts.js';
import { firstPolicy } from './load-balancing-policies.js';
import type { Message } from './message.js';
import { slowStart } from './slow-start.js';
import { subsets } from './subset.js';

/**
 * `load_balancing_policy` if there is one: the first policy in its list that is supported wins (gRFC A52), and nothing else of the cluster says
 * how to balance. Else `lb_policy`, whose default is round robin. `names` are the policies that the application has registered.
 */
export function loadBalancing(cluster: Message, names: PolicyNames): LoadBalancing {
  const policy = cluster.message('load_balancing_policy');
  const subset = cluster.message('lb_subset_config');
  if (policy !== undefined) {
    // Envoy refuses the two together (upstream_impl.cc); to leave the subsets out would be to send calls to all endpoints.
    if (subset !== undefined)
      throw cluster.error('lb_subset_config', 'must not be set beside load_balancing_policy; use its Subset policy');
    return firstPolicy(policy, names);
  }
  return { ...lbPolicy(cluster), subsets: subset === undefined ? undefined : subsets(subset) };
}

/** `Cluster.lb_policy` with the configuration that belongs to it; optional, "defaults will be assumed for all of its values" (A42, A48). */
function lbPolicy(cluster: Message): LoadBalancing {
  const policy = cluster.choice('lb_policy', [
    'ROUND_ROBIN',
    'LEAST_REQUEST',
    'RING_HASH',
    'RANDOM',
    'MAGLEV',
    'CLUSTER_PROVIDED',
    'LOAD_BALANCING_POLICY_CONFIG',
  ]);
  const locality = clusterLocality(cluster);
  switch (policy) {
    case 'ROUND_ROBIN':
      return plainly({ kind: 'round_robin' }, locality, slowStart(cluster.message('round_robin_lb_config')));
    case 'RANDOM':
      return plainly({ kind: 'random' }, locality);
    case 'LEAST_REQUEST': {
      const config = cluster.message('least_request_lb_config');
      return plainly(leastRequest(config), locality, slowStart(config));
    }
    case 'RING_HASH': {
      const hashing = hashingOf(cluster.message('common_lb_config'));
      return plainly(ringHash(cluster.message('ring_hash_lb_config'), ['XX_HASH', 'MURMUR_HASH_2'], hashing), locality);
    }
    case 'MAGLEV':
      return plainly(
        maglev(cluster.message('maglev_lb_config'), hashingOf(cluster.message('common_lb_config'))),
        locality,
      );
    default:
      throw cluster.error(
        'lb_policy',
        `must be ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV when load_balancing_policy is not set, got ${policy}`,
      );
  }
}
