import type { Limit } from '../../../core/model/limit.js';
import type { Algorithm } from './algorithm.js';
import type { Slots } from './slots.js';

/** Products of fractions are not exact: what lacks no more than this share of a request is there. */
const SLACK = 1e-6;

/**
 * Two fixed windows, of which the one before counts in the share that a span of `perMs` still covers (Cloudflare's sliding window counter): 40 in the window
 * before and 10 in this one, of which a quarter has passed, count as 40 · ¾ + 10. A slot: `ends` when this window's count weighs nothing any more, one window
 * after it is over; `a` its count, `b` that of the window before.
 */
export class SlidingWindow implements Algorithm {
  readonly capacity: number;
  readonly shape: string;
  readonly #perMs: number;

  /** `epoch`: monotonic milliseconds at 1970-01-01. */
  constructor(
    { requests, perMs }: Extract<Limit, { perMs: number }>,
    private readonly epoch: number,
  ) {
    this.capacity = requests;
    this.shape = `sliding_window ${perMs}`;
    this.#perMs = perMs;
  }

  waitMs(slots: Slots, slot: number, now: number, cost: number): number {
    const per = this.#perMs;
    const limit = this.capacity;
    if (cost > limit) return Number.POSITIVE_INFINITY;
    if (cost === 0 || this.used(slots, slot, now) + cost <= limit + SLACK) return 0;
    const current = this.#current(slots, slot, now);
    const before = this.#before(slots, slot, now);
    const left = this.window(slots, slot, now) - now;
    // The one before weighs `free` when so much of this window is left; with no room for it at all, this one must become the one before.
    const free = limit - cost - current;
    if (free >= 0) return left - (free * per) / before;
    return left + per - ((limit - cost) * per) / current;
  }

  take(slots: Slots, slot: number, now: number, cost: number): void {
    const current = this.#current(slots, slot, now);
    const before = this.#before(slots, slot, now);
    const end = this.window(slots, slot, now);
    slots.a[slot] = current + cost;
    slots.b[slot] = before;
    slots.ends[slot] = end + this.#perMs;
  }

  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number): void {
    const ends = slots.ends[slot] as number;
    if (ends <= now) return;
    if (ends - this.#perMs === window) slots.a[slot] = Math.max(0, (slots.a[slot] as number) - cost);
    else if (ends - 2 * this.#perMs === window) slots.b[slot] = Math.max(0, (slots.b[slot] as number) - cost);
  }

  /** Its end. */
  window(slots: Slots, slot: number, now: number): number {
    const ends = slots.ends[slot] as number;
    if (ends > now) return ends - this.#perMs > now ? ends - this.#perMs : ends;
    const end = (Math.floor((now - this.epoch) / this.#perMs) + 1) * this.#perMs + this.epoch;
    // Of a sum that was rounded down to this very moment.
    return end > now ? end : end + this.#perMs;
  }

  used(slots: Slots, slot: number, now: number): number {
    const before = this.#before(slots, slot, now);
    const share = before === 0 ? 0 : (before * (this.window(slots, slot, now) - now)) / this.#perMs;
    return share + this.#current(slots, slot, now);
  }

  adopt(slots: Slots, slot: number, now: number, used: number): void {
    this.take(slots, slot, now, Math.ceil(used));
  }

  remaining(slots: Slots, slot: number, now: number): number {
    return Math.max(0, Math.floor(this.capacity - this.used(slots, slot, now) + SLACK));
  }

  resetMs(slots: Slots, slot: number, now: number): number {
    return Math.max(0, (slots.ends[slot] as number) - now);
  }

  #current(slots: Slots, slot: number, now: number): number {
    return (slots.ends[slot] as number) - this.#perMs > now ? (slots.a[slot] as number) : 0;
  }

  #before(slots: Slots, slot: number, now: number): number {
    const ends = slots.ends[slot] as number;
    if (ends - this.#perMs > now) return slots.b[slot] as number;
    return ends > now ? (slots.a[slot] as number) : 0;
  }
}
