import type { Limit } from '../../../../src/core/model/limit.js';
import { CalendarWindows } from '../../../../src/resilience/ratelimit/calendar-windows.js';

/** A request that was let through: when, in milliseconds since the epoch, and what it counts. */
export interface Passed {
  readonly at: number;
  readonly cost: number;
}

/** The first place in the log, in order of time, at which more was let through than the limit's definition allows; undefined: nowhere. */
export function excess(limit: Limit, log: readonly Passed[]): string | undefined {
  const sum = (from: number, to: number): number =>
    log.reduce((total, { at, cost }) => (at >= from && at < to ? total + cost : total), 0);
  for (const [i, { at }] of log.entries()) {
    switch (limit.algorithm) {
      case 'token_bucket':
        // In any span: the burst, and what was added meanwhile.
        for (const { at: from } of log.slice(0, i + 1)) {
          const most = limit.burst + ((at - from) * limit.requests) / limit.perMs;
          if (sum(from, at + 1) > most + 1e-6) return `${sum(from, at + 1)} of ${most} from ${from} to ${at}`;
        }
        break;
      case 'sliding_log':
        if (sum(at, at + limit.perMs) > limit.requests) return `${sum(at, at + limit.perMs)} from ${at} on`;
        break;
      case 'sliding_window': {
        const start = at - (at % limit.perMs);
        const before = sum(start - limit.perMs, start) * (1 - (at - start) / limit.perMs);
        if (before + sum(start, at + 1) > limit.requests + 1e-6) return `${before} and ${sum(start, at + 1)} at ${at}`;
        break;
      }
      default: {
        const { start, end } =
          limit.algorithm === 'calendar'
            ? new CalendarWindows(limit.per, limit.timeZone).at(at)
            : { start: at - (at % limit.perMs), end: at - (at % limit.perMs) + limit.perMs };
        if (sum(start, end) > limit.requests) return `${sum(start, end)} from ${start} to ${end}`;
      }
    }
  }
  return undefined;
}
