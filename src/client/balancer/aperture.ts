import type { ApertureConfig } from '../../core/model/cluster.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { deterministicAperture } from './deterministic-aperture.js';
import { requireHash64 } from './hash.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';
import { drawSeed, randomSubsetting } from './random-subsetting.js';

/** Some of the endpoints, and what they weigh. */
export interface Part {
  readonly endpoints: readonly Endpoint[];
  readonly weights: Weights;
}

/** Gives the policy the part of the endpoints that this client uses, so that connections do not grow as clients × endpoints. */
export function aperture(config: ApertureConfig, policy: Policy, env: BalancerEnv): Policy {
  const part = partOf(config, env);
  return {
    update(list, weights) {
      const { endpoints, weights: partWeights } = part(list, weights);
      policy.update(endpoints, partWeights);
    },
    pick: (request) => policy.pick(request),
    admits: (endpoint, request) => policy.admits?.(endpoint, request) ?? true,
    close: () => policy.close?.(),
  };
}

function partOf(config: ApertureConfig, env: BalancerEnv): (endpoints: readonly Endpoint[], weights: Weights) => Part {
  const hash64 = requireHash64(env, config.kind);
  const seed = (): bigint => env.subsetSeed ?? drawSeed(env.random);
  if (config.kind === 'random_subsetting') return randomSubsetting(config.size, seed(), hash64);
  const peer = config.peer ?? env.peer;
  return peer === undefined
    ? randomSubsetting(config.floor, seed(), hash64)
    : deterministicAperture(config.floor, peer, hash64);
}
