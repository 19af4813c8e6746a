import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import type { Balancer, BalancerEnv } from './balancer.js';
import { Lottery } from './random.js';

/** What an endpoint costs now; the smaller is chosen. */
export type Cost = (endpoint: Endpoint, now: number) => number;

export interface ChoiceOptions {
  /** Endpoints drawn for each pick, by weight. gRFC A48 draws with replacement; we draw others than the first, which spreads better. */
  readonly choices: number;
  readonly cost: Cost;
  /** An endpoint that lost every draw for this long wins the next, so that one that recovered is noticed. Undefined: never. */
  readonly forceAfterMs?: number;
}

/**
 * The power of two choices (Mitzenmacher 2001): the cheaper of two drawn at random is nearly as good as the cheapest of all, in constant
 * time, and a herd of clients does not all run to the same one.
 */
export function choiceOf({ choices, cost, forceAfterMs }: ChoiceOptions, env: BalancerEnv): Balancer {
  let lottery = new Lottery([], env.random);
  const cheapest = (now: number): Endpoint | undefined => {
    const { endpoints } = lottery;
    const first = lottery.draw();
    let best = endpoints[first];
    if (best === undefined || endpoints.length === 1) return best;
    let bestCost = cost(best, now);
    for (let i = 1; i < choices; i++) {
      const other = endpoints[lottery.drawOther(first)];
      if (other === undefined || other === best) continue;
      const otherCost = cost(other, now);
      let loser: Endpoint = other;
      if (otherCost < bestCost) {
        loser = best;
        best = other;
        bestCost = otherCost;
      }
      if (forceAfterMs !== undefined && now - loser.lastPicked > forceAfterMs) return loser;
    }
    return best;
  };
  return {
    update(list) {
      lottery = new Lottery(list, env.random);
    },
    pick({ tried }) {
      const now = env.clock.now();
      const picked = avoiding(tried, lottery.endpoints, 4, () => cheapest(now));
      if (picked !== undefined) picked.lastPicked = now;
      return picked;
    },
  };
}
