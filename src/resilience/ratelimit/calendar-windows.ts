import type { Limit } from '../../core/model/limit.js';

export type CalendarPeriod = Extract<Limit, { algorithm: 'calendar' }>['per'];

/** One period of the calendar, in wall time, milliseconds since the epoch; the end is the next one's start. `end` names it. */
export interface CalendarWindow {
  readonly start: number;
  readonly end: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Lengths that no period of the kind falls short of or exceeds, with room for any change of an offset. */
const LONGEST_SHIFT_MS = 26 * HOUR_MS;

/**
 * Minutes, hours, days, weeks (from Monday, ISO 8601), months or years of a time zone, one after the other without a gap. A day lasts from one midnight to the
 * next: 23 or 25 hours where clocks are changed, and from the first moment of the date where midnight is left out. An hour that the clocks go through twice is
 * two. The last window is kept, so that a look-up costs a comparison.
 */
export class CalendarWindows {
  readonly #format: Intl.DateTimeFormat;
  #last: CalendarWindow = { start: 0, end: 0 };

  /** `timeZone`: an IANA name. Throws a RangeError when the runtime does not know it. */
  constructor(
    private readonly per: CalendarPeriod,
    timeZone: string,
  ) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** The window that a wall time is in. */
  at(wall: number): CalendarWindow {
    if (wall >= this.#last.start && wall < this.#last.end) return this.#last;
    this.#last = this.#windowAt(wall);
    return this.#last;
  }

  #windowAt(wall: number): CalendarWindow {
    const offset = this.#offset(wall);
    const civil = wall + offset;
    if (this.per === 'minute' || this.per === 'hour') {
      const length = this.per === 'minute' ? MINUTE_MS : HOUR_MS;
      const start = Math.floor(civil / length) * length - offset;
      const end = start + length;
      // Between two changes of the offset; a change in the middle ends one window and begins another.
      return {
        start: this.#offset(start) === offset ? start : this.#firstWith(offset, start, wall),
        end: this.#offset(end - 1) === offset ? end : this.#lastWith(offset, wall, end),
      };
    }
    const [from, to] = civilBounds(this.per, civil);
    return { start: this.#instant(from, wall), end: this.#instant(to, wall) };
  }

  /** The first moment at which the zone's clocks show `civil` or later. */
  #instant(civil: number, near: number): number {
    const guess = civil - this.#offset(near);
    // The offsets before and after any change that could matter.
    const shows = [this.#offset(guess - LONGEST_SHIFT_MS), this.#offset(guess + LONGEST_SHIFT_MS)]
      .map((offset) => civil - offset)
      .filter((instant) => instant + this.#offset(instant) === civil);
    if (shows.length > 0) return Math.min(...shows);
    // Left out: the clocks are set on over it.
    let before = guess - LONGEST_SHIFT_MS;
    let after = guess + LONGEST_SHIFT_MS;
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (middle + this.#offset(middle) >= civil) after = middle;
      else before = middle;
    }
    return after;
  }

  /** The first moment from `from` to `to`, which has the offset, from which on it holds. */
  #firstWith(offset: number, from: number, to: number): number {
    let before = Math.floor(from);
    let after = Math.floor(to);
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.#offset(middle) === offset) after = middle;
      else before = middle;
    }
    return after;
  }

  /** The moment from `from`, which has the offset, to `to` at which it holds no more. */
  #lastWith(offset: number, from: number, to: number): number {
    let before = Math.floor(from);
    let after = Math.ceil(to);
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if (this.#offset(middle) === offset) before = middle;
      else after = middle;
    }
    return after;
  }

  /** What the zone's clocks show, less UTC, in milliseconds. */
  #offset(instant: number): number {
    const second = Math.floor(instant / 1_000) * 1_000;
    const shown: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(second)) shown[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: s = 0 } = shown;
    return Date.UTC(year, month - 1, day, hour, minute, s) - second;
  }
}

/** The first moment of the day, week, month or year that `civil` is in, and of the next, as the clocks show it (milliseconds as if it were UTC). */
function civilBounds(per: 'day' | 'week' | 'month' | 'year', civil: number): [from: number, to: number] {
  const date = new Date(civil);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  switch (per) {
    case 'day': {
      const from = Math.floor(civil / DAY_MS) * DAY_MS;
      return [from, from + DAY_MS];
    }
    case 'week': {
      // 1970-01-01 was a Thursday.
      const days = Math.floor(civil / DAY_MS);
      const monday = (days - ((((days + 3) % 7) + 7) % 7)) * DAY_MS;
      return [monday, monday + 7 * DAY_MS];
    }
    case 'month':
      return [Date.UTC(year, month), Date.UTC(year, month + 1)];
    case 'year':
      return [Date.UTC(year, 0), Date.UTC(year + 1, 0)];
  }
}
