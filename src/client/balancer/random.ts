import type { Random } from '../../core/random.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import type { Balancer, BalancerEnv } from './balancer.js';

/** Any, with a chance in proportion to its weight. */
export function random(env: BalancerEnv): Balancer {
  let lottery = new Lottery([], env.random);
  return {
    update(list) {
      lottery = new Lottery(list, env.random);
    },
    pick: ({ tried }) => avoiding(tried, lottery.endpoints, 4, () => lottery.endpoints[lottery.draw()]),
  };
}

/** How often a weighted draw is repeated to find another than the first; a heavier endpoint may then be drawn again. */
const REDRAWS = 3;

/** Draws endpoints by weight: in O(log n), or O(1) when all weights are equal. Gives positions in `endpoints`. */
export class Lottery {
  /** Sums of weights up to each endpoint; undefined when all are equal. */
  readonly #upTo: Float64Array | undefined;

  constructor(
    readonly endpoints: readonly Endpoint[],
    private readonly random: Random,
  ) {
    if (endpoints.every((endpoint) => endpoint.weight === endpoints[0]?.weight)) return;
    let total = 0;
    this.#upTo = Float64Array.from(endpoints, (endpoint) => {
      total += endpoint.weight;
      return total;
    });
  }

  draw(): number {
    const upTo = this.#upTo;
    const count = this.endpoints.length;
    if (upTo === undefined) return count < 2 ? 0 : this.random.int(count);
    const at = this.random.next() * (upTo[count - 1] as number);
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Another than `first`: two draws of the same endpoint are no choice. By weight it may still be the same. */
  drawOther(first: number): number {
    const count = this.endpoints.length;
    if (this.#upTo === undefined) return (first + 1 + this.random.int(count - 1)) % count;
    let other = first;
    for (let i = 0; i < REDRAWS && other === first; i++) other = this.draw();
    return other;
  }
}
