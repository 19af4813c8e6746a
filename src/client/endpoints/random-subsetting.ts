import type { Random } from '../../core/random.js';
import type { Hash64 } from '../balancer/hash.js';
import type { Choose } from './aperture.js';
import type { Endpoint } from './endpoint.js';

/** "a random integer seed" for each client - gRFC A68. */
export const drawSeed = (random: Random): bigint => (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32));

/**
 * The `size` endpoints that rank first by XXH64 of their first address with this client's seed: rendezvous hashing. One endpoint more or
 * less changes at most one of them - gRFC A68.
 */
export function randomSubsetting(size: number, seed: bigint, hash64: Hash64): Choose {
  const ranks = new WeakMap<Endpoint, number>();
  const rankOf = (endpoint: Endpoint): number => {
    let rank = ranks.get(endpoint);
    if (rank === undefined) {
      // The upper 53 bits are rank enough.
      rank = Number(hash64(endpoint.key, seed) >> 11n);
      ranks.set(endpoint, rank);
    }
    return rank;
  };
  return (endpoints) => {
    const chosen: Endpoint[] = [];
    const last = size >= endpoints.length ? Number.POSITIVE_INFINITY : nth(Float64Array.from(endpoints, rankOf), size);
    for (const endpoint of endpoints) if (rankOf(endpoint) <= last && chosen.length < size) chosen.push(endpoint);
    return { endpoints: chosen, shares: chosen.map(() => 1) };
  };
}

/** The so many-th smallest, from 1. */
const nth = (numbers: Float64Array, n: number): number => numbers.sort()[n - 1] as number;
