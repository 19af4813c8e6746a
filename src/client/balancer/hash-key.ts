import type { Endpoint } from '../endpoints/endpoint.js';
import type { Weights } from './policy.js';

/** What of an endpoint is hashed: its `hash_key` label, else its hostname when that is asked for, else its address (gRFC A76, Envoy). */
export function hashKeyOf({ config }: Endpoint, useHostname: boolean | undefined): string {
  return config.hashKey || (useHostname === true ? config.hostname : undefined) || config.key;
}

/** Keys and weights of a list, for what is made of them and costs too much to be made of the same ones again. */
export class HashedList {
  #keys: readonly string[] = [];
  #weights: Weights = [];

  get keys(): readonly string[] {
    return this.#keys;
  }

  /** False when the new list is the same. */
  update(endpoints: readonly Endpoint[], weights: Weights, useHostname: boolean | undefined): boolean {
    const keys = endpoints.map((endpoint) => hashKeyOf(endpoint, useHostname));
    const same = areSame(keys, this.#keys) && areSame(weights, this.#weights);
    this.#keys = keys;
    this.#weights = weights;
    return !same;
  }
}

function areSame(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
