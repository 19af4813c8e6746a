import type { Limit } from '../../../core/model/limit.js';

const DAY_MS = 86_400_000;
/** No period of the calendar is shorter. */
const SHORTEST_MS = {
  minute: 60_000,
  hour: 3_600_000,
  day: DAY_MS - 3_600_000,
  week: 7 * DAY_MS - 3_600_000,
  month: 28 * DAY_MS - 3_600_000,
  year: 365 * DAY_MS - 3_600_000,
};

/**
 * How long after the first in a line has its turn one has its own, at the earliest, when `ahead` is counted before it, of which `first` by the first, and it
 * counts `cost` itself. Exact for a token bucket; with windows the turns come a window's worth at a time.
 */
export function turnAfterMs(limit: Limit, first: number, ahead: number, cost: number): number {
  if (limit.requests === 0) return Number.POSITIVE_INFINITY;
  if (limit.algorithm === 'token_bucket') return ((ahead - first + cost) * limit.perMs) / limit.requests;
  const windowMs = limit.algorithm === 'calendar' ? SHORTEST_MS[limit.per] : limit.perMs;
  return (Math.ceil((ahead + cost) / limit.requests) - 1) * windowMs;
}
