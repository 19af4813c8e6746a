import type { Limit } from '../../../core/model/limit.js';
import type { Algorithm } from './algorithm.js';
import type { Slots } from './slots.js';

/**
 * So many in each window of `perMs`. Windows begin where the wall clock was a multiple of `perMs` when the store was made, and from then on by the monotonic
 * clock: a wall clock that is set makes no window longer or shorter. A slot: `ends` of the window, `a` its count.
 */
export class FixedWindow implements Algorithm {
  readonly capacity: number;
  readonly shape: string;
  readonly #perMs: number;

  /** `epoch`: monotonic milliseconds at 1970-01-01. */
  constructor(
    { requests, perMs }: Extract<Limit, { perMs: number }>,
    private readonly epoch: number,
  ) {
    this.capacity = requests;
    this.shape = `fixed_window ${perMs}`;
    this.#perMs = perMs;
  }

  waitMs(slots: Slots, slot: number, now: number, cost: number): number {
    if (cost > this.capacity) return Number.POSITIVE_INFINITY;
    return cost === 0 || this.used(slots, slot, now) + cost <= this.capacity ? 0 : (slots.ends[slot] as number) - now;
  }

  take(slots: Slots, slot: number, now: number, cost: number): void {
    slots.a[slot] = this.used(slots, slot, now) + cost;
    slots.ends[slot] = this.window(slots, slot, now);
  }

  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number): void {
    if (slots.ends[slot] === window && window > now) slots.a[slot] = Math.max(0, (slots.a[slot] as number) - cost);
  }

  /** Its end. */
  window(slots: Slots, slot: number, now: number): number {
    const ends = slots.ends[slot] as number;
    if (ends > now) return ends;
    const end = (Math.floor((now - this.epoch) / this.#perMs) + 1) * this.#perMs + this.epoch;
    // Of a sum that was rounded down to this very moment.
    return end > now ? end : end + this.#perMs;
  }

  used(slots: Slots, slot: number, now: number): number {
    return (slots.ends[slot] as number) > now ? (slots.a[slot] as number) : 0;
  }

  adopt(slots: Slots, slot: number, now: number, used: number): void {
    this.take(slots, slot, now, Math.ceil(used));
  }

  remaining(slots: Slots, slot: number, now: number): number {
    return Math.max(0, this.capacity - this.used(slots, slot, now));
  }

  resetMs(slots: Slots, slot: number, now: number): number {
    return Math.max(0, (slots.ends[slot] as number) - now);
  }
}
