import type { BalancerConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';
import { Race } from './race.js';

export type PickFirstConfig = Extract<BalancerConfig, { kind: 'pick_first' }>;

/**
 * One endpoint gets all calls: the first in order that can be reached, for as long as it can. While it connects others are tried beside it (gRFC A61). `shuffle`: the order is drawn by weight, so that clients spread (gRFC A62, A113).
 */
export function pickFirst({ shuffle }: PickFirstConfig, env: BalancerEnv): Policy {
  let order: readonly Endpoint[] = [];
  let current: Endpoint | undefined;
  let draws = new Map<Endpoint, number>();
  let turn = 0;
  const race = new Race(
    env.clock,
    () => order,
    (winner) => {
      current = winner;
    },
  );
  /** Whom the call goes to. */
  const chosen = (endpoint: Endpoint): Endpoint => {
    if (order.length > 1 && endpoint.connections === 0) race.run(endpoint);
    return endpoint;
  };
  return {
    update(list, weights) {
      if (shuffle) {
        draws = new Map(list.map((endpoint) => [endpoint, draws.get(endpoint) ?? env.random.next()]));
        order = shuffled(list, weights, draws);
      } else order = list;
      // "If the currently selected subchannel is in the new list, it is kept" (gRFC A62): no connection is given up for a better place.
      if (current !== undefined && !list.includes(current)) current = undefined;
    },
    pick({ tried }) {
      if (usable(current, tried)) return chosen(current as Endpoint);
      const next = order.find((endpoint) => usable(endpoint, tried));
      if (next !== undefined) {
        // A retry that goes elsewhere does not move the others.
        if (current === undefined || current.reach === 'unreachable') current = next;
        return chosen(next);
      }
      // None can be reached, as far as is known: each in turn, until one has come back.
      const others = tried === undefined ? order : order.filter(({ key }) => !tried.includes(key));
      const candidates = others.length > 0 ? others : order;
      return candidates[turn++ % Math.max(1, candidates.length)];
    },
    // Others stay idle as long as there is one that serves.
    admits: (endpoint, { tried }) => endpoint === current || !usable(current, tried),
    close: () => race.stop(),
  };
}

function usable(endpoint: Endpoint | undefined, tried: readonly string[] | undefined): boolean {
  return endpoint !== undefined && endpoint.reach !== 'unreachable' && tried?.includes(endpoint.key) !== true;
}

/** Weighted random order (Efraimidis and Spirakis): by u ^ (1 / weight), the largest first - gRFC A113. `u` stays with the endpoint. */
function shuffled(
  list: readonly Endpoint[],
  weights: Weights,
  draws: ReadonlyMap<Endpoint, number>,
): readonly Endpoint[] {
  let total = 0;
  for (let i = 0; i < list.length; i++) total += weights[i] as number;
  // ln u ÷ weight sorts as u ^ (1 / weight) does, and does not underflow for small weights.
  const keyed = list.map((endpoint, i) => ({
    endpoint,
    key: (Math.log(draws.get(endpoint) as number) * total) / (weights[i] as number),
  }));
  return keyed.sort((a, b) => b.key - a.key).map(({ endpoint }) => endpoint);
}
