import type { LimitState } from '../../core/limits.js';
import type { Limit } from '../../core/model/limit.js';
import type { LocalStore } from './local-store.js';
import type { Lines } from './queue/lines.js';
import type { Refusal } from './refusal.js';
import type { Counting } from './rule.js';

/**
 * Looks at the counts of this process, and takes nothing. Of those that refuse, the one that will for the longest; rules with a line refuse nobody here.
 */
export function refusedLocally(counted: readonly Counting[], store: LocalStore, lines: Lines): Refusal | undefined {
  let longest: Refusal | undefined;
  for (const counting of counted) {
    const { rule, limit, cost, name } = counting;
    if (rule.config.store.kind !== 'local' || limit === undefined) continue;
    if (rule.config.queue !== undefined && lines.has(name)) continue;
    const state = store.peek(name, limit, cost);
    counting.state = state;
    if (state.allowed || rule.config.queue !== undefined) continue;
    const { retryAfterMs } = state;
    if (longest?.retryAfterMs === undefined || retryAfterMs > longest.retryAfterMs) {
      longest = refusalOf(rule.name, limit, state);
    }
  }
  return longest;
}

/** Takes from the one count there is, or says why not. */
export function localTake(counting: Counting, store: LocalStore): Refusal | undefined {
  const { rule, limit, cost, name } = counting;
  if (limit === undefined) return undefined;
  const state = store.take(name, limit, cost);
  counting.state = state;
  if (!state.allowed) return refusalOf(rule.name, limit, state);
  counting.takenFrom = 'local';
  return undefined;
}

/** Takes from counts that have just been looked at. */
export function localTakes(counted: readonly Counting[], store: LocalStore): void {
  for (const counting of counted) {
    const { limit, cost, name } = counting;
    if (limit === undefined) continue;
    counting.state = store.take(name, limit, cost);
    counting.takenFrom = 'local';
  }
}

const refusalOf = (rule: string, limit: Limit, state: LimitState): Refusal => ({
  rule,
  reason: 'limit',
  said: { rule, limit, state },
  retryAfterMs: state.retryAfterMs,
});
