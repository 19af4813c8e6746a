import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import type { Balancer, BalancerEnv } from './balancer.js';

/** Any, with a chance in proportion to its weight. */
export function random(env: BalancerEnv): Balancer {
  let endpoints: readonly Endpoint[] = [];
  let draw: () => Endpoint | undefined = () => undefined;
  return {
    update(list) {
      endpoints = list;
      draw = weightedDraw(list, env);
    },
    pick: (tried) => avoiding(tried, endpoints, 4, () => draw()),
  };
}

/** Draws by weight in O(log n); in O(1) when all weights are equal. */
export function weightedDraw(endpoints: readonly Endpoint[], env: BalancerEnv): () => Endpoint | undefined {
  const count = endpoints.length;
  if (count === 0) return () => undefined;
  if (endpoints.every((endpoint) => endpoint.weight === endpoints[0]?.weight)) return () => endpoints[env.random.int(count)];
  const upTo = new Float64Array(count);
  let total = 0;
  endpoints.forEach((endpoint, i) => {
    total += endpoint.weight;
    upTo[i] = total;
  });
  return () => {
    const at = env.random.next() * total;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return endpoints[low];
  };
}
