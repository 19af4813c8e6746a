import type { Endpoint } from '../endpoints/endpoint.js';
import { inflightOf, rowsOf } from './load-slab.js';
import { areEqual } from './lottery.js';
import { lightnessOf } from './p2c.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';

/**
 * The endpoint with the least load of all (Envoy `FULL_SCAN`): its calls in flight, where weights differ in proportion to its weight; among equals a draw
 * by weight. Exact where a choice of two only tends to it, and O(n) a pick: for few endpoints with long calls.
 */
export function fullScan(env: BalancerEnv): Policy {
  let endpoints: readonly Endpoint[] = [];
  let rows = rowsOf(endpoints);
  let weights: Weights = [];
  /** Mean weight ÷ weight; undefined when all are equal. */
  let lightness: Float64Array | undefined;
  const loadAt = (at: number): number => {
    const inflight = inflightOf(rows[at] as number);
    return lightness === undefined ? inflight : inflight * (lightness[at] as number);
  };
  const leastOf = (tried: readonly string[]): Endpoint | undefined => {
    const passed = (at: number): boolean => tried.length > 0 && tried.includes((endpoints[at] as Endpoint).key);
    let least = Number.POSITIVE_INFINITY;
    let weight = 0;
    for (let at = 0; at < rows.length; at++) {
      const load = loadAt(at);
      if (load > least || passed(at)) continue;
      if (load < least) weight = 0;
      least = load;
      weight += weights[at] as number;
    }
    let left = env.random.next() * weight;
    let drawn: Endpoint | undefined;
    for (let at = 0; at < rows.length && left >= 0; at++) {
      if (loadAt(at) !== least || passed(at)) continue;
      left -= weights[at] as number;
      drawn = endpoints[at];
    }
    return drawn;
  };
  return {
    update(list, newWeights) {
      endpoints = list;
      rows = rowsOf(list);
      weights = newWeights;
      lightness = areEqual(newWeights, list.length) ? undefined : lightnessOf(newWeights, list.length);
    },
    pick: ({ tried = [] }) => leastOf(tried) ?? (tried.length > 0 ? leastOf([]) : undefined),
  };
}
