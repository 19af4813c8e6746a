import { RLS_UNIT_MS, rlsUnitOf } from '../../../core/rls.js';
import type { Path, Report } from '../problem.js';
import type { CalendarUnit, LimitSpec } from '../schema/limit.js';

/** The words of the calendar as a rate limit service means them (`RateLimit.Unit`): a month has 30 days, and windows begin at multiples of their length. */
export const SERVICE_UNIT_MS: Readonly<Record<CalendarUnit, number>> = {
  minute: RLS_UNIT_MS[2] as number,
  hour: RLS_UNIT_MS[3] as number,
  day: RLS_UNIT_MS[4] as number,
  week: RLS_UNIT_MS[7] as number,
  month: RLS_UNIT_MS[5] as number,
  year: RLS_UNIT_MS[6] as number,
};

/** A limit that goes with a question to a rate limit service, which has words for few. */
export function checkServiceLimit(limit: LimitSpec | undefined, at: Path, report: Report): void {
  if (limit === undefined) return;
  const { per, algorithm, timeZone } = limit;
  if (typeof per === 'number' && rlsUnitOf(per) === undefined)
    report(
      [...at, 'per'],
      `must be 1s, 1m, 1h, 24h, or minute, hour, day, week, month or year, which are what a rate limit service counts by, got ${per}ms`,
    );
  if (algorithm !== undefined && algorithm !== 'fixedWindow')
    report([...at, 'algorithm'], 'must be fixedWindow, or not be set: a rate limit service counts in fixed windows');
  if (limit.burst !== undefined)
    report([...at, 'burst'], 'must not be set: a rate limit service counts in fixed windows');
  if (timeZone !== undefined) report([...at, 'timeZone'], 'must not be set: a rate limit service counts by UTC');
}
