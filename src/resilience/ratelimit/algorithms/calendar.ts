import type { Limit } from '../../../core/model/limit.js';
import { CalendarWindows } from '../calendar-windows.js';
import { MAX_DRIFT, type SmoothWall } from '../smooth-wall.js';
import type { Algorithm } from './algorithm.js';
import type { Slots } from './slots.js';

/**
 * So many in each minute, day or month of a time zone. A slot: `a` is the count, `b` the wall time at which its window ends, which names it; `ends` is no
 * earlier than that, however the wall clock is slewed meanwhile.
 */
export class Calendar implements Algorithm {
  readonly capacity: number;
  readonly shape: string;
  readonly #windows: CalendarWindows;

  constructor(
    { requests, per, timeZone }: Extract<Limit, { algorithm: 'calendar' }>,
    private readonly wall: SmoothWall,
  ) {
    this.capacity = requests;
    this.shape = `calendar ${per} ${timeZone}`;
    this.#windows = new CalendarWindows(per, timeZone);
  }

  waitMs(slots: Slots, slot: number, now: number, cost: number): number {
    if (cost > this.capacity) return Number.POSITIVE_INFINITY;
    if (cost === 0 || this.used(slots, slot, now) + cost <= this.capacity) return 0;
    return this.#leftMs(now);
  }

  take(slots: Slots, slot: number, now: number, cost: number): void {
    slots.a[slot] = this.used(slots, slot, now) + cost;
    slots.b[slot] = this.window(slots, slot, now);
    slots.ends[slot] = now + this.#leftMs(now) / (1 - MAX_DRIFT);
  }

  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number): void {
    if (slots.b[slot] === window && this.window(slots, slot, now) === window) {
      slots.a[slot] = Math.max(0, (slots.a[slot] as number) - cost);
    }
  }

  /** Its end, in wall time. */
  window(_slots: Slots, _slot: number, now: number): number {
    return this.#windows.at(this.wall.at(now)).end;
  }

  used(slots: Slots, slot: number, now: number): number {
    return slots.b[slot] === this.window(slots, slot, now) ? (slots.a[slot] as number) : 0;
  }

  adopt(slots: Slots, slot: number, now: number, used: number): void {
    this.take(slots, slot, now, Math.ceil(used));
  }

  remaining(slots: Slots, slot: number, now: number): number {
    return Math.max(0, this.capacity - this.used(slots, slot, now));
  }

  resetMs(slots: Slots, slot: number, now: number): number {
    return this.used(slots, slot, now) > 0 ? this.#leftMs(now) : 0;
  }

  #leftMs(now: number): number {
    const wall = this.wall.at(now);
    return this.#windows.at(wall).end - wall;
  }
}
