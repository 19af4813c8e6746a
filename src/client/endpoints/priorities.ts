import type { Endpoint } from './endpoint.js';

/**
 * The endpoints that may take calls, by priority, the first one first, with their weights set. Those that drain count only while there are no
 * others; a priority without endpoints is left out.
 */
export function byPriority(endpoints: readonly Endpoint[]): ReadonlyMap<number, readonly Endpoint[]> {
  const fresh = endpoints.filter((endpoint) => endpoint.config.health !== 'draining');
  const groups = new Map<number, Endpoint[]>();
  for (const endpoint of fresh.length > 0 ? fresh : endpoints) {
    const { priority } = endpoint.config;
    const group = groups.get(priority);
    if (group === undefined) groups.set(priority, [endpoint]);
    else group.push(endpoint);
  }
  for (const group of groups.values()) weigh(group);
  return groups.size < 2 ? groups : new Map([...groups].sort(([a], [b]) => a - b));
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
