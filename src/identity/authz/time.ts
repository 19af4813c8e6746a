import type { TimeWindow } from '../../core/model/authorization.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Zones that are remembered; there are about 600. */
const MAX_ZONES = 1_000;

/** What a clock on the wall shows. */
interface WallClock {
  /** Of the day, 0 to 1439. */
  readonly minute: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  /** `2026-01-31`. */
  readonly date: string;
}

/** The clock of one zone: asked of the time zone database once a minute, since offsets change at whole minutes. */
class Zone {
  readonly #format: Intl.DateTimeFormat;
  #at = Number.NaN;
  #shown: WallClock = { minute: 0, weekday: 0, date: '' };
  #before: WallClock = this.#shown;

  /** Throws RangeError for a zone that is not known. */
  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    });
  }

  /** `wallTime`: milliseconds since 1970. */
  now(wallTime: number): WallClock {
    this.#look(wallTime);
    return this.#shown;
  }

  /** The day before on the same clock, for windows that began then. */
  before(wallTime: number): WallClock {
    this.#look(wallTime);
    return this.#before;
  }

  #look(wallTime: number): void {
    const at = Math.floor(wallTime / MINUTE_MS);
    if (at === this.#at) return;
    const parts: Record<string, string> = {};
    for (const { type, value } of this.#format.formatToParts(at * MINUTE_MS)) parts[type] = value;
    const { year = '', month, day, hour, minute } = parts;
    const date = `${year.padStart(4, '0')}-${month}-${day}`;
    const midnight = Date.parse(`${date}T00:00:00Z`);
    const time = Number(hour) * 60 + Number(minute);
    this.#shown = { minute: time, weekday: new Date(midnight).getUTCDay(), date };
    // Days on the calendar are alike, however long they were.
    const yesterday = new Date(midnight - DAY_MS);
    this.#before = { minute: time, weekday: yesterday.getUTCDay(), date: yesterday.toISOString().slice(0, 10) };
    this.#at = at;
  }
}

const zones = new Map<string, Zone>();

function zoneOf(name: string): Zone {
  let zone = zones.get(name);
  if (zone === undefined) {
    zone = new Zone(name);
    if (zones.size >= MAX_ZONES) zones.clear();
    zones.set(name, zone);
  }
  return zone;
}

/** Compiles a window: its test is given wall time in milliseconds since 1970. Throws RangeError for a zone that is not known. */
export function timeTest({ zone: name, weekdays, from, to, dates }: TimeWindow): (wallTime: number) => boolean {
  const zone = zoneOf(name);
  const begins = ({ weekday, date }: WallClock): boolean =>
    (weekdays.length === 0 || weekdays.includes(weekday)) &&
    (dates.length === 0 || dates.some((range) => range.from <= date && date <= range.to));
  if (from < to) {
    return (wallTime) => {
      const shown = zone.now(wallTime);
      return from <= shown.minute && shown.minute < to && begins(shown);
    };
  }
  return (wallTime) => {
    const shown = zone.now(wallTime);
    if (shown.minute >= from && begins(shown)) return true;
    return shown.minute < to && begins(zone.before(wallTime));
  };
}
