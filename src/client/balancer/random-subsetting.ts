import type { Random } from '../../core/random.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { Part } from './aperture.js';
import type { Hash64 } from './hash.js';
import type { Weights } from './policy.js';

/** "a random integer seed" for each client - gRFC A68. */
export const drawSeed = (random: Random): bigint => (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32));

/**
 * The `size` endpoints that rank first by XXH64 of their first address with this client's seed: rendezvous hashing. One endpoint more or
 * less changes at most one of them - gRFC A68.
 */
export function randomSubsetting(
  size: number,
  seed: bigint,
  hash64: Hash64,
): (endpoints: readonly Endpoint[], weights: Weights) => Part {
  /** Ranks of the endpoints of the last update, by key. */
  let ranks = new Map<string, number>();
  return (endpoints, weights) => {
    // The upper 53 bits are rank enough.
    const kept = new Map(
      endpoints.map(({ key }) => [key, ranks.get(key) ?? Number(hash64(key, seed) >> 11n)] as const),
    );
    ranks = kept;
    if (size >= endpoints.length) return { endpoints, weights };
    const sorted = Float64Array.from(kept.values()).sort();
    const last = sorted[size - 1] as number;
    const chosen: Endpoint[] = [];
    const chosenWeights: number[] = [];
    for (const [i, endpoint] of endpoints.entries()) {
      if ((kept.get(endpoint.key) as number) > last || chosen.length === size) continue;
      chosen.push(endpoint);
      chosenWeights.push(weights[i] as number);
    }
    return { endpoints: chosen, weights: chosenWeights };
  };
}
