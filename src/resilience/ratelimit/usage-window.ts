import type { Limit } from '../../core/model/limit.js';
import { type CalendarWindow, CalendarWindows } from './calendar-windows.js';

/** Kinds of windows that are kept; policies name few. */
const MAX_KINDS = 1_000;

/** The windows in which uses are metered: a calendar's own, else days in UTC. */
export function usageWindows(): (limit: Limit | undefined, wallTime: number) => CalendarWindow {
  const kinds = new Map<string, CalendarWindows>();
  return (limit, wallTime) => {
    const [per, zone] = limit?.algorithm === 'calendar' ? [limit.per, limit.timeZone] : (['day', 'UTC'] as const);
    const kind = `${per} ${zone}`;
    let windows = kinds.get(kind);
    if (windows === undefined) {
      windows = new CalendarWindows(per, zone);
      if (kinds.size >= MAX_KINDS) kinds.clear();
      kinds.set(kind, windows);
    }
    return windows.at(wallTime);
  };
}
