import type { Endpoint } from './endpoint.js';

/**
 * The endpoints that take calls now, with their weights set: of the first priority that has any; those that drain only while there are no others.
 */
export function usableEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const fresh = endpoints.filter((endpoint) => endpoint.config.health !== 'draining');
  const candidates = fresh.length > 0 ? fresh : endpoints;
  const priority = candidates.reduce(
    (least, endpoint) => Math.min(least, endpoint.config.priority),
    Number.POSITIVE_INFINITY,
  );
  const used = candidates.filter((endpoint) => endpoint.config.priority === priority);
  weigh(used);
  return used;
}

/** A locality gets its weight's share of the traffic, and an endpoint its weight's share of that (gRPC wrr_locality). */
function weigh(endpoints: readonly Endpoint[]): void {
  const sums = new Map<string, number>();
  const localityOf = ({ config: { locality } }: Endpoint): string =>
    `${locality.region}/${locality.zone}/${locality.subZone}`;
  for (const endpoint of endpoints) {
    const locality = localityOf(endpoint);
    sums.set(locality, (sums.get(locality) ?? 0) + endpoint.config.weight);
  }
  const single = sums.size === 1;
  for (const endpoint of endpoints) {
    const { weight, localityWeight } = endpoint.config;
    endpoint.weight = single ? weight : (localityWeight * weight) / (sums.get(localityOf(endpoint)) as number);
  }
}
