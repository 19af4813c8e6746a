import type { Limit } from '../../../core/model/limit.js';
import type { Algorithm } from './algorithm.js';
import { RequestLog } from './request-log.js';
import type { Slots } from './slots.js';

/** Exactly so many in any span of `perMs`: remembers each request, 16 bytes, until it is that old; those of one moment together. */
export class SlidingLog implements Algorithm {
  readonly capacity: number;
  readonly shape: string;
  readonly #perMs: number;

  constructor({ requests, perMs }: Extract<Limit, { perMs: number }>) {
    this.capacity = requests;
    this.shape = `sliding_log ${perMs}`;
    this.#perMs = perMs;
  }

  waitMs(slots: Slots, slot: number, now: number, cost: number): number {
    if (cost > this.capacity) return Number.POSITIVE_INFINITY;
    const log = this.#log(slots, slot, now);
    if (cost === 0 || log === undefined || log.total + cost <= this.capacity) return 0;
    return log.reaches(log.total + cost - this.capacity) + this.#perMs - now;
  }

  take(slots: Slots, slot: number, now: number, cost: number): void {
    let log = this.#log(slots, slot, now);
    if (log === undefined) {
      log = new RequestLog();
      slots.logs.set(slot, log);
    }
    if (cost > 0) log.add(now, cost);
    slots.ends[slot] = now + this.#perMs;
  }

  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number): void {
    this.#log(slots, slot, now)?.takeBack(window, cost);
  }

  /** The moment itself. */
  window(_slots: Slots, _slot: number, now: number): number {
    return now;
  }

  used(slots: Slots, slot: number, now: number): number {
    return this.#log(slots, slot, now)?.total ?? 0;
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

  /** Without those that are `perMs` old. */
  #log(slots: Slots, slot: number, now: number): RequestLog | undefined {
    const log = slots.logs.get(slot);
    log?.forget(now - this.#perMs);
    return log;
  }
}
