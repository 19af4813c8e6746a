import type { Endpoint } from './endpoint.js';

/**
 * The endpoints that may take calls, by priority, the first one first. Those that drain count only while there are no others; a priority without
 * endpoints is left out.
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
  return groups.size < 2 ? groups : new Map([...groups].sort(([a], [b]) => a - b));
}
