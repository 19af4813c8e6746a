import fc from 'fast-check';
import type { Limit } from '../../../src/core/model/limit.js';

/** A request that was let through. */
export interface Passed {
  readonly at: number;
  readonly cost: number;
}

type WindowLimit = Extract<Limit, { perMs: number; algorithm: 'fixed_window' | 'sliding_window' | 'sliding_log' }>;

const total = (passed: readonly Passed[]): number => passed.reduce((sum, { cost }) => sum + cost, 0);

/**
 * Whether a limit lets a request through, by its definition alone, from the list of all that it let through before. Times are whole milliseconds since the
 * epoch, by a clock that never jumps.
 */
export function letsThrough(limit: Limit, passed: readonly Passed[], at: number, cost: number): boolean {
  switch (limit.algorithm) {
    case 'token_bucket':
      return cost === 0 || bucket(limit, passed, at) >= cost * limit.perMs;
    case 'fixed_window':
      return cost === 0 || total(inWindow(limit, passed, at, 0)) + cost <= limit.requests;
    case 'sliding_window': {
      const left = limit.perMs - (at % limit.perMs);
      const before = total(inWindow(limit, passed, at, 1));
      const now = total(inWindow(limit, passed, at, 0));
      return cost === 0 || before * left + (now + cost) * limit.perMs <= limit.requests * limit.perMs;
    }
    case 'sliding_log':
      return cost === 0 || total(passed.filter((one) => one.at > at - limit.perMs)) + cost <= limit.requests;
    case 'calendar':
      throw new Error('a calendar has an oracle of its own');
  }
}

const inWindow = ({ perMs }: WindowLimit, passed: readonly Passed[], at: number, back: number): readonly Passed[] =>
  passed.filter((one) => Math.floor(one.at / perMs) === Math.floor(at / perMs) - back);

/** What is in the bucket, in whole parts of 1 / perMs request. */
function bucket(
  { requests, perMs, burst }: Extract<Limit, { algorithm: 'token_bucket' }>,
  passed: readonly Passed[],
  at: number,
): number {
  if (requests === 0) return 0;
  const full = burst * perMs;
  let level = full;
  let last = at;
  for (const [i, one] of passed.entries()) {
    if (i > 0) level = Math.min(full, level + (one.at - last) * requests);
    level -= one.cost * perMs;
    last = one.at;
  }
  return passed.length === 0 ? full : Math.min(full, level + (at - last) * requests);
}

/** Limits by algorithm, of those that the oracle knows. */
export const anyLimit = (
  requests: fc.Arbitrary<number>,
  perMs: fc.Arbitrary<number>,
): Readonly<Record<string, fc.Arbitrary<Limit>>> => ({
  'a token bucket': fc.record({
    algorithm: fc.constant('token_bucket' as const),
    requests,
    perMs,
    burst: fc.integer({ min: 1, max: 15 }),
  }),
  'a fixed window': fc.record({ algorithm: fc.constant('fixed_window' as const), requests, perMs }),
  'a sliding window': fc.record({ algorithm: fc.constant('sliding_window' as const), requests, perMs }),
  'a sliding log': fc.record({ algorithm: fc.constant('sliding_log' as const), requests, perMs }),
});
