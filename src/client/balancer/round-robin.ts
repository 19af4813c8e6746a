import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import type { Balancer, BalancerEnv } from './balancer.js';

interface Turn {
  readonly endpoint: Endpoint;
  /** Grows by the weight each pick, falls by the sum when picked. Kept across updates. */
  current: number;
}

/**
 * Each in turn, by weight: the smooth weighted round robin of nginx, which spreads a heavy endpoint's turns evenly. Equal weights are a plain
 * rotation that starts at a random endpoint, so that many clients starting together do not march in step (gRFC A42 says the same of WRR).
 */
export function roundRobin(env: BalancerEnv): Balancer {
  let turns: Turn[] = [];
  let endpoints: readonly Endpoint[] = [];
  let total = 0;
  let equal = true;
  let next = 0;
  const draw = (): Endpoint | undefined => {
    if (turns.length === 0) return undefined;
    if (equal) {
      next = next + 1 < turns.length ? next + 1 : 0;
      return turns[next]?.endpoint;
    }
    let best: Turn | undefined;
    for (const turn of turns) {
      turn.current += turn.endpoint.weight;
      if (best === undefined || turn.current > best.current) best = turn;
    }
    if (best !== undefined) best.current -= total;
    return best?.endpoint;
  };
  return {
    update(list) {
      const before = new Map(turns.map((turn) => [turn.endpoint, turn.current]));
      const started = turns.length > 0;
      endpoints = list;
      turns = list.map((endpoint) => ({ endpoint, current: before.get(endpoint) ?? 0 }));
      total = list.reduce((sum, endpoint) => sum + endpoint.weight, 0);
      equal = list.every((endpoint) => endpoint.weight === list[0]?.weight);
      next = started ? next % Math.max(1, list.length) : env.random.int(Math.max(1, list.length));
    },
    pick: ({ tried }) => avoiding(tried, endpoints, turns.length, draw),
  };
}
