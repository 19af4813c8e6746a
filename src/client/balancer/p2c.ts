import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import { inflightOf, LAST_PICKED, rowsOf, slab } from './load-slab.js';
import { areEqual, Lottery } from './lottery.js';
import type { BalancerEnv, Policy } from './policy.js';

export interface ChoiceOptions {
  /** Endpoints drawn for each pick, by weight. */
  readonly choices: number;
  /**
   * What the endpoint of that row costs now; the smaller is chosen, the first drawn of equals. `load`: its calls in flight; where weights differ, divided by
   * its weight in proportion to the mean, so that a heavy endpoint may have more of them (Finagle's WeightedP2CPick).
   */
  cost(row: number, load: number, now: number): number;
  /** Whether an endpoint that lost should be picked all the same, so that one that recovered is noticed. One pick in a hundred at most is. */
  overdue?(row: number, now: number): boolean;
}

/** Picks between two that are given to an overdue endpoint: else a large cluster with little traffic, where all are, would prefer the losers. */
const PICKS_BETWEEN_OVERDUE = 100;

/**
 * The power of two choices (Mitzenmacher 2001): the cheaper of two drawn at random is nearly as good as the cheapest of all, in constant
 * time, and a herd of clients does not all run to the same one. Nobody gets more than `choices` times its share: it must be drawn first.
 */
export function choiceOf({ choices, cost, overdue }: ChoiceOptions, env: BalancerEnv): Policy {
  let endpoints: readonly Endpoint[] = [];
  let rows = rowsOf(endpoints);
  let lottery = new Lottery(0, [], env.random);
  /** Mean weight ÷ weight; undefined when all are equal. */
  let lightness: Float64Array | undefined;
  let sinceOverdue = PICKS_BETWEEN_OVERDUE;
  const costOf = (at: number, now: number): number => {
    const row = rows[at] as number;
    const load = inflightOf(row);
    return cost(row, lightness === undefined ? load : load * (lightness[at] as number), now);
  };
  /** A position; only rows are looked at, not the endpoints themselves. */
  const cheapest = (now: number): number => {
    const first = lottery.draw();
    if (endpoints.length < 2) return first;
    let best = first;
    let bestCost = costOf(first, now);
    for (let i = 1; i < choices; i++) {
      const other = lottery.drawSecond(first);
      if (other === best) continue;
      const otherCost = costOf(other, now);
      let loser = other;
      if (otherCost < bestCost) {
        loser = best;
        best = other;
        bestCost = otherCost;
      }
      if (sinceOverdue >= PICKS_BETWEEN_OVERDUE && overdue?.(rows[loser] as number, now) === true) {
        sinceOverdue = 0;
        return loser;
      }
    }
    return best;
  };
  return {
    update(list, weights) {
      endpoints = list;
      rows = rowsOf(list);
      lottery = new Lottery(list.length, weights, env.random);
      lightness = areEqual(weights, list.length) ? undefined : lightnessOf(weights, list.length);
    },
    pick({ tried }) {
      const now = env.clock.now();
      sinceOverdue++;
      if (tried === undefined || tried.length === 0) {
        const at = cheapest(now);
        if (at < rows.length) slab.values[(rows[at] as number) + LAST_PICKED] = now;
        return endpoints[at];
      }
      const picked = avoiding(tried, endpoints, 4, () => endpoints[cheapest(now)]);
      if (picked !== undefined) slab.values[picked.row + LAST_PICKED] = now;
      return picked;
    },
  };
}

/** Mean weight ÷ weight of each. */
export function lightnessOf(weights: ArrayLike<number>, count: number): Float64Array {
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[i] as number;
  const mean = total / count;
  return Float64Array.from(weights, (weight) => mean / weight);
}
