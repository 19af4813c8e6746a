import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import { Lottery } from './lottery.js';
import type { BalancerEnv, Policy } from './policy.js';

/** Any, with a chance in proportion to its weight. */
export function random(env: BalancerEnv): Policy {
  let endpoints: readonly Endpoint[] = [];
  let lottery = new Lottery(0, [], env.random);
  const draw = (): Endpoint | undefined => endpoints[lottery.draw()];
  return {
    update(list, weights) {
      endpoints = list;
      lottery = new Lottery(list.length, weights, env.random);
    },
    pick: ({ tried }) => avoiding(tried, endpoints, 4, draw),
  };
}
