import { type BreakerConfig, DEFAULT_BREAKER } from '../../core/model/breaker.js';
import type { Message } from './message.js';
import { filterMetadata, OWN_METADATA, type Settings } from './struct.js';

const DAY_MS = 86_400_000;
const MAX_COUNT = 1_000_000;
/** One of them is a window that forgets all at once; more than a hundred are finer than anybody looks. */
const MAX_BUCKETS = 100;
const MAX_PROBES = 1_000;

/**
 * The breaker of a destination, which the API has no field for: `filter_metadata["inmesh.dev"].breaker` with `consecutive_failures` (0: not counted),
 * `success_rate` (`threshold` in [0, 1], 0: not looked at; `window_ms`, `min_requests`, `buckets`), `base_penalty_ms`, `max_penalty_ms`, `jitter` in
 * [0, 1] and `probes`; empty: all defaults. Undefined: none.
 */
export function breaker(cluster: Message): BreakerConfig | undefined {
  const own = filterMetadata(cluster, OWN_METADATA)?.nested('breaker');
  if (own === undefined) return undefined;
  const defaults = DEFAULT_BREAKER;
  const consecutive = own.integer('consecutive_failures', 0, MAX_COUNT, defaults.consecutiveFailures ?? 0);
  const successRate = rate(own.nested('success_rate'));
  if (consecutive === 0 && successRate === undefined)
    throw own.error('', 'must count something: consecutive_failures of at least 1, or a success_rate with a threshold');
  const basePenaltyMs = own.number('base_penalty_ms', 1, DAY_MS, defaults.basePenaltyMs);
  const maxPenaltyMs = own.number('max_penalty_ms', 1, DAY_MS, Math.max(basePenaltyMs, defaults.maxPenaltyMs));
  if (maxPenaltyMs < basePenaltyMs)
    throw own.error('max_penalty_ms', `must be at least base_penalty_ms (${basePenaltyMs}), got ${maxPenaltyMs}`);
  return {
    consecutiveFailures: consecutive === 0 ? undefined : consecutive,
    successRate,
    basePenaltyMs,
    maxPenaltyMs,
    jitter: own.number('jitter', 0, 1, defaults.jitter),
    probes: own.integer('probes', 1, MAX_PROBES, defaults.probes),
  };
}

function rate(given: Settings | undefined): BreakerConfig['successRate'] {
  const defaults = DEFAULT_BREAKER.successRate;
  if (given === undefined || defaults === undefined) return defaults;
  const threshold = given.number('threshold', 0, 1, defaults.threshold);
  const found = {
    threshold,
    windowMs: given.number('window_ms', 100, DAY_MS, defaults.windowMs),
    minRequests: given.integer('min_requests', 1, MAX_COUNT, defaults.minRequests),
    buckets: given.integer('buckets', 1, MAX_BUCKETS, defaults.buckets),
  };
  // No share of calls is below 0.
  return threshold === 0 ? undefined : found;
}
