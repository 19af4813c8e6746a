import type { LoadBalancerSpec } from './schema/load-balancer.js';

/** Which balancer a policy asks for: what it names, or what its other fields are for; PEAK_EWMA by default. */
export function balancerKind(
  balancer: LoadBalancerSpec | undefined,
): NonNullable<LoadBalancerSpec['simple']> | 'CUSTOM' {
  if (balancer?.simple !== undefined) return balancer.simple;
  if (balancer?.custom !== undefined) return 'CUSTOM';
  if (balancer?.consistentHash === undefined) return 'PEAK_EWMA';
  return balancer.consistentHash.maglev === undefined ? 'RING_HASH' : 'MAGLEV';
}
