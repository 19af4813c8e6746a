import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import { EdfSchedule } from './edf.js';
import { inflightOf, rowsOf } from './load-slab.js';
import { areEqual } from './lottery.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';

export interface WeightedLeastRequestOptions {
  /** 0: weights alone, as round robin; 1: an endpoint with one call in flight weighs half; more: busy ones are left sooner. */
  readonly activeRequestBias: number;
  /** Chooses while all weights are equal: there a choice among some is better than turns (Envoy). */
  readonly whenEqual: Policy;
}

/**
 * Envoy's least request where weights differ: turns by weight ÷ (calls in flight + 1) ^ bias. What an endpoint has in flight is looked at when
 * it has had its turn, for the next one, so that a pick stays O(log n).
 */
export function weightedLeastRequest(
  { activeRequestBias, whenEqual }: WeightedLeastRequestOptions,
  env: BalancerEnv,
): Policy {
  let endpoints: readonly Endpoint[] = [];
  let rows = rowsOf(endpoints);
  let weights: Weights = [];
  let schedule: EdfSchedule | undefined;
  const weightOf = (at: number): number =>
    (weights[at] as number) / (inflightOf(rows[at] as number) + 1) ** activeRequestBias;
  const draw = (): Endpoint | undefined => {
    const turn = schedule?.next();
    if (turn === undefined) return undefined;
    schedule?.reschedule(weightOf(turn));
    return endpoints[turn];
  };
  return {
    update(list, newWeights) {
      endpoints = list;
      rows = rowsOf(list);
      weights = newWeights;
      whenEqual.update(list, newWeights);
      schedule = areEqual(newWeights, list.length)
        ? undefined
        : new EdfSchedule(Float64Array.from(list, (_, i) => env.random.next() / weightOf(i)));
    },
    pick(request) {
      return schedule === undefined ? whenEqual.pick(request) : avoiding(request.tried, endpoints, 4, draw);
    },
  };
}
