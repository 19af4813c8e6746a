import {
  type BalancerConfig,
  DEFAULT_BALANCER,
  DEFAULT_WEIGHTED_ROUND_ROBIN,
} from '../../../src/core/model/balancer.js';

/** The policies that experiments compare, by the names that the documents use. Hashes and pick first are left out: they are no answer to load. */
export const POLICIES: Readonly<Record<string, BalancerConfig>> = {
  'round robin': { kind: 'round_robin' },
  random: { kind: 'random' },
  'weighted round robin': { ...DEFAULT_WEIGHTED_ROUND_ROBIN, blackoutMs: 1_000 },
  'least request': { kind: 'least_request', choiceCount: 2 },
  'least request of 10': { kind: 'least_request', choiceCount: 10 },
  'weighted least request': { kind: 'least_request', choiceCount: 2, activeRequestBias: 1 },
  'peak EWMA': DEFAULT_BALANCER,
};
