import type { Endpoint } from '../endpoints/endpoint.js';
import { inflightOf, rowsOf } from './load-slab.js';
import type { BalancerEnv, Weights } from './policy.js';

/**
 * Consistent hashing with bounded loads (Mirrokni et al. 2016; Envoy `hash_balance_factor`): no endpoint has more than `factor` times its share of the
 * calls under way. One that is full passes the call on, in an order of the hash's own (Chen et al. 2019): to pass all on to the same neighbour would
 * fill that one next. As long as few are full it costs a little arithmetic.
 */
export class BoundedLoad {
  #endpoints: readonly Endpoint[] = [];
  #rows = rowsOf([]);
  /** Of the traffic, by position; they add up to 1. */
  #shares = new Float64Array(0);
  #positions: ReadonlyMap<Endpoint, number> = new Map();

  constructor(
    private readonly factor: number,
    private readonly env: Pick<BalancerEnv, 'underWay'>,
  ) {}

  update(endpoints: readonly Endpoint[], weights: Weights): void {
    let total = 0;
    for (let i = 0; i < endpoints.length; i++) total += weights[i] as number;
    this.#endpoints = endpoints;
    this.#rows = rowsOf(endpoints);
    this.#shares = Float64Array.from(endpoints, (_, i) => (weights[i] as number) / total);
    this.#positions = new Map(endpoints.map((endpoint, i) => [endpoint, i]));
  }

  /** The one that the hash has chosen, unless it is full: then the first with room, else the one least over its share. */
  pass(chosen: Endpoint, high: number, low: number, tried: readonly string[] | undefined): Endpoint {
    const count = this.#rows.length;
    const first = this.#positions.get(chosen);
    // One call is always taken in.
    if (first === undefined || count < 2 || inflightOf(this.#rows[first] as number) === 0) return chosen;
    const slots = Math.ceil((this.env.underWay?.() ?? this.#calls()) * this.factor);
    let least = this.#fullness(first, slots);
    if (least < 1) return chosen;
    let best = chosen;
    const stride = strideOf(high, count);
    for (let i = 0, at = low % count; i < count; i++, at = (at + stride) % count) {
      const endpoint = this.#endpoints[at] as Endpoint;
      const fullness = this.#fullness(at, slots);
      if (fullness >= least || endpoint.reach === 'unreachable' || tried?.includes(endpoint.key) === true) continue;
      if (fullness < 1) return endpoint;
      least = fullness;
      best = endpoint;
    }
    return best;
  }

  /** Under way at these endpoints, and the one that looks for its own. */
  #calls(): number {
    let calls = 1;
    for (const row of this.#rows) calls += inflightOf(row);
    return calls;
  }

  /** Calls under way ÷ those that it may have, which are one at least. */
  #fullness(at: number, slots: number): number {
    return inflightOf(this.#rows[at] as number) / Math.max(1, Math.ceil(slots * (this.#shares[at] as number)));
  }
}

/** A step that goes over all of `count` positions before it comes back: one that has no divisor in common with it. */
function strideOf(hash: number, count: number): number {
  let stride = 1 + (hash % (count - 1));
  while (divisor(stride, count) > 1) stride = 1 + (stride % (count - 1));
  return stride;
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
