import type { Limit } from '../../../core/model/limit.js';
import { CalendarWindows } from '../calendar-windows.js';

export type CalendarLimit = Extract<Limit, { readonly algorithm: 'calendar' }>;

/** A window and the one after it; milliseconds since the epoch. */
export interface Bounds {
  readonly start: number;
  readonly end: number;
  readonly nextEnd: number;
}

interface Kind {
  readonly windows: CalendarWindows;
  bounds: Bounds;
}

/** The windows of the calendar that limits are in, each found once while it lasts. As many kinds are kept as limits name, a few. */
export class WindowBounds {
  readonly #kinds = new Map<string, Kind>();

  at({ per, timeZone }: CalendarLimit, wallMs: number): Bounds {
    const name = `${per} ${timeZone}`;
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = { windows: new CalendarWindows(per, timeZone), bounds: { start: 0, end: 0, nextEnd: 0 } };
      this.#kinds.set(name, kind);
    }
    const { start, end } = kind.bounds;
    if (wallMs < start || wallMs >= end) {
      const window = kind.windows.at(wallMs);
      kind.bounds = { start: window.start, end: window.end, nextEnd: kind.windows.at(window.end).end };
    }
    return kind.bounds;
  }
}
