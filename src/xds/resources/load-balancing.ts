import type { BalancerConfig } from '../../core/model/cluster.js';
import { type Extension, extension } from './any.js';
import { checkClientSideWrr, checkMaglev, checkRingHash, leastRequest, peakEwma } from './load-balancing-configs.js';
import type { Message } from './message.js';

const POLICIES = 'envoy.extensions.load_balancing_policies';
const PEAK_EWMA = 'inmesh.dev/peak_ewma';
/** "Configurations that require more than 16 levels of recursion are considered invalid" - A52 */
const MAX_DEPTH = 16;

/** A policy's configuration read; undefined when there is no balancer for it, or for what is inside. */
type Reader = (config: Extension, depth: number) => BalancerConfig | undefined;

/** A policy that is known but for which there is no balancer: its configuration must be right, and then it is passed over. */
const unsupported =
  (check: (config: Message) => void): Reader =>
  ({ message }) => {
    check(message);
    return undefined;
  };

/** Policies of the API by the name of their message, ours by the type that a TypedStruct names (gRFC A52). */
const SUPPORTED: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [`${POLICIES}.round_robin.v3.RoundRobin`, () => ({ kind: 'round_robin' })],
  [`${POLICIES}.random.v3.Random`, () => ({ kind: 'random' })],
  [`${POLICIES}.least_request.v3.LeastRequest`, ({ message }) => leastRequest(message)],
  // Weighted choice of a locality is part of every balancer here; what is inside says how to choose an endpoint.
  [
    `${POLICIES}.wrr_locality.v3.WrrLocality`,
    ({ message }, depth) => supported(message.required('endpoint_picking_policy'), depth + 1, []),
  ],
  [PEAK_EWMA, peakEwma],
]);

const UNSUPPORTED: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    `${POLICIES}.ring_hash.v3.RingHash`,
    // DEFAULT_HASH "currently defaults to XX_HASH" - ring_hash.proto
    unsupported((config) => checkRingHash(config, ['DEFAULT_HASH', 'XX_HASH', 'MURMUR_HASH_2'])),
  ],
  [`${POLICIES}.maglev.v3.Maglev`, unsupported(checkMaglev)],
  [`${POLICIES}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`, unsupported(checkClientSideWrr)],
  [`${POLICIES}.pick_first.v3.PickFirst`, unsupported((config) => void config.flag('shuffle_address_list'))],
]);

/**
 * `load_balancing_policy` if there is one: the first policy in its list that is supported wins (gRFC A52). Else `lb_policy`, whose
 * default is round robin.
 */
export function balancer(cluster: Message): BalancerConfig {
  const policy = cluster.message('load_balancing_policy');
  if (policy === undefined) return lbPolicy(cluster);
  const seen: string[] = [];
  const found = supported(policy, 1, seen);
  if (found !== undefined) return found;
  const got = seen.length === 0 ? 'none' : seen.join(', ');
  // "The function does not find any supported policy in the list" - A52
  throw cluster.error(
    'load_balancing_policy.policies',
    `must have a supported policy (${[...SUPPORTED.keys()].join(', ')}), got ${got}`,
  );
}

function supported(policy: Message, depth: number, seen: string[]): BalancerConfig | undefined {
  if (depth > MAX_DEPTH) throw policy.error('', `policies must not be nested more than ${MAX_DEPTH} deep (gRFC A52)`);
  for (const candidate of policy.each('policies')) {
    const any = candidate.required('typed_extension_config').message('typed_config');
    if (any === undefined) continue;
    const config = extension(any);
    const found = readerOf(config)?.(config, depth);
    if (found !== undefined) return found;
    seen.push(config.type);
  }
  return undefined;
}

/** "Any entry not in the above list is unsupported and will be skipped" - A52; so is a policy of the API in a TypedStruct. */
function readerOf({ kind, type }: Extension): Reader | undefined {
  const own = type === PEAK_EWMA;
  return own === (kind === 'struct') ? (SUPPORTED.get(type) ?? UNSUPPORTED.get(type)) : undefined;
}

/** `Cluster.lb_policy` with the configuration that belongs to it; optional, "defaults will be assumed for all of its values" (A42, A48). */
function lbPolicy(cluster: Message): BalancerConfig {
  const policy = cluster.choice('lb_policy', [
    'ROUND_ROBIN',
    'LEAST_REQUEST',
    'RING_HASH',
    'RANDOM',
    'MAGLEV',
    'CLUSTER_PROVIDED',
    'LOAD_BALANCING_POLICY_CONFIG',
  ]);
  switch (policy) {
    case 'ROUND_ROBIN':
      return { kind: 'round_robin' };
    case 'RANDOM':
      return { kind: 'random' };
    case 'LEAST_REQUEST':
      return leastRequest(cluster.message('least_request_lb_config'));
    case 'RING_HASH': {
      const config = cluster.message('ring_hash_lb_config');
      if (config !== undefined) checkRingHash(config, ['XX_HASH', 'MURMUR_HASH_2']);
      break;
    }
    case 'MAGLEV': {
      const config = cluster.message('maglev_lb_config');
      if (config !== undefined) checkMaglev(config);
    }
  }
  throw cluster.error(
    'lb_policy',
    `must be ROUND_ROBIN, LEAST_REQUEST or RANDOM when load_balancing_policy is not set, got ${policy}`,
  );
}
