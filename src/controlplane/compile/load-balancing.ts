import type { Resource } from '../../core/resources.js';
import { balancerKind } from '../yaml/balancer-kind.js';
import type { LoadBalancerSpec } from '../yaml/schema/load-balancer.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import {
  envoyPolicy,
  leastRequest,
  maglev,
  peakEwma,
  pickFirst,
  random,
  ringHash,
  roundRobin,
  structPolicy,
  weightedRoundRobin,
} from './balancers.js';
import type { Plain } from './proto.js';

/**
 * `load_balancing_policy`: a list of which each client takes the first that it knows (gRFC A52); Envoy and gRPC all know the last. What says which
 * endpoints there are to choose from stands before what chooses, and around it: subsets, then apertures.
 */
export function loadBalancingPolicy(policy: TrafficPolicySpec | undefined): Resource {
  const balancer = policy?.loadBalancer;
  return { policies: withSubsets(withAperture(choosing(balancer), balancer?.aperture), policy?.subsets) };
}

function choosing(balancer: LoadBalancerSpec | undefined): Resource[] {
  const last = roundRobin(balancer);
  switch (balancerKind(balancer)) {
    case 'ROUND_ROBIN':
      return [last];
    case 'RANDOM':
      return [random(balancer), last];
    case 'LEAST_REQUEST':
      return [leastRequest(balancer), last];
    case 'WEIGHTED_ROUND_ROBIN':
      return [weightedRoundRobin(balancer), last];
    case 'PICK_FIRST':
      return [pickFirst(balancer), last];
    case 'RING_HASH':
      return [ringHash(balancer), last];
    case 'MAGLEV':
      // gRPC has no Maglev, but a ring.
      return [maglev(balancer), ringHash(balancer), last];
    case 'PEAK_EWMA':
      return [peakEwma(balancer), leastRequest(balancer), last];
    case 'CUSTOM': {
      const config = (balancer?.custom?.config ?? {}) as { readonly [key: string]: Plain };
      return [structPolicy(balancer?.custom?.name ?? '', config), leastRequest(balancer), last];
    }
  }
}

function withAperture(policies: Resource[], aperture: LoadBalancerSpec['aperture']): Resource[] {
  if (aperture === undefined) return policies;
  const { type, size = DEFAULT_APERTURE, peerCount, peerIndex } = aperture;
  if (type === 'RandomSubsetting') {
    const fields = { subset_size: { value: size }, child_policy: { policies } };
    return [envoyPolicy('random_subsetting', 'RandomSubsetting', fields), ...policies];
  }
  const peer = peerCount === undefined ? {} : { peer_count: peerCount, peer_index: peerIndex ?? 0 };
  return [structPolicy('inmesh.dev/deterministic_aperture', { floor: size, ...peer }), ...policies];
}

/** Finagle's default of `minAperture` for its deterministic aperture. */
const DEFAULT_APERTURE = 12;

/**
 * A call that asks for labels that no endpoint has fails, or asks for fewer of them; one that asks for none goes to any endpoint (Istio). What is
 * asked for again has to be a selector of its own: without one it would be any endpoint.
 */
function withSubsets(policies: Resource[], subsets: TrafficPolicySpec['subsets']): Resource[] {
  if (subsets === undefined) return policies;
  const selectors = new Map<string, Resource>();
  const fewer: string[][] = [];
  for (const { labels, fallbackKeys } of subsets) {
    const keys = Object.keys(labels).sort();
    const fallback = fallbackKeys && [...fallbackKeys].sort();
    if (fallback !== undefined) fewer.push(fallback);
    selectors.set(JSON.stringify(keys), {
      keys,
      ...(fallback === undefined
        ? { fallback_policy: 'NO_FALLBACK' }
        : { fallback_policy: 'KEYS_SUBSET', fallback_keys_subset: fallback }),
    });
  }
  for (const keys of fewer) {
    const name = JSON.stringify(keys);
    if (!selectors.has(name)) selectors.set(name, { keys, fallback_policy: 'NO_FALLBACK' });
  }
  const fields = {
    fallback_policy: 'ANY_ENDPOINT',
    subset_selectors: [...selectors.values()],
    subset_lb_policy: { policies },
  };
  return [envoyPolicy('subset', 'Subset', fields), ...policies];
}
