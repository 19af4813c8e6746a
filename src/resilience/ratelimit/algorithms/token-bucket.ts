import type { Limit } from '../../../core/model/limit.js';
import type { Algorithm } from './algorithm.js';
import type { Slots } from './slots.js';

/** Sums of fractions of a millisecond are not exact: what lacks no more than this share of a request is there. */
const SLACK = 1e-4;

/**
 * Token bucket as GCRA (ITU-T I.371; the virtual scheduling of ATM Forum TM 4.0): one number per key, the theoretical arrival time, at which the bucket is
 * full again. A request moves it on by its cost in intervals, and is let through when it is then no further ahead than `burst` intervals. 10 per second with
 * a burst of 5: five at once, then one each 100 ms. A slot: `ends` is the arrival time; `a` what was given back since `b`, when the bucket was full last.
 */
export class TokenBucket implements Algorithm {
  readonly capacity: number;
  /** Each reads its own only: an interval of another rate is worth another number of requests. */
  readonly shape: string;
  readonly #intervalMs: number;
  readonly #toleranceMs: number;

  constructor({ requests, perMs, burst }: Extract<Limit, { algorithm: 'token_bucket' }>) {
    this.capacity = requests === 0 ? 0 : burst;
    this.shape = `token_bucket ${requests} ${perMs}`;
    this.#intervalMs = requests === 0 ? 0 : perMs / requests;
    this.#toleranceMs = this.capacity * this.#intervalMs;
  }

  waitMs(slots: Slots, slot: number, now: number, cost: number): number {
    if (cost > this.capacity) return Number.POSITIVE_INFINITY;
    const wait = this.#arrival(slots, slot, now) + cost * this.#intervalMs - this.#toleranceMs - now;
    return wait <= SLACK * this.#intervalMs ? 0 : wait;
  }

  take(slots: Slots, slot: number, now: number, cost: number): void {
    if ((slots.ends[slot] as number) <= now) {
      slots.a[slot] = 0;
      slots.b[slot] = now;
    }
    slots.ends[slot] = this.#arrival(slots, slot, now) + cost * this.#intervalMs;
  }

  /**
   * What has come back by itself since is not given back again. In the order in which requests were let through, those before it come back first, so that of
   * it no less is left than lies beyond now; were the bucket full without it, all the time since would have been lost to it. The larger of both is right.
   */
  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number, at: number): void {
    if (at < (slots.b[slot] as number)) return;
    const whole = cost * this.#intervalMs;
    const beyond = window - (slots.a[slot] as number) - now;
    const left = Math.min(whole, Math.max(0, beyond, whole - (now - at)));
    slots.a[slot] = (slots.a[slot] as number) + left;
    slots.ends[slot] = (slots.ends[slot] as number) - left;
  }

  /** Where a request taken just now comes back last, had nothing been given back. */
  window(slots: Slots, slot: number, now: number): number {
    return this.#arrival(slots, slot, now) + (slots.a[slot] as number);
  }

  used(slots: Slots, slot: number, now: number): number {
    return this.#intervalMs === 0 ? 0 : (this.#arrival(slots, slot, now) - now) / this.#intervalMs;
  }

  adopt(slots: Slots, slot: number, now: number, used: number): void {
    slots.b[slot] = now;
    slots.ends[slot] = now + Math.min(used, this.capacity) * this.#intervalMs;
  }

  remaining(slots: Slots, slot: number, now: number): number {
    return Math.max(0, Math.floor(this.capacity - this.used(slots, slot, now) + SLACK));
  }

  resetMs(slots: Slots, slot: number, now: number): number {
    return this.#arrival(slots, slot, now) - now;
  }

  #arrival(slots: Slots, slot: number, now: number): number {
    return Math.max(slots.ends[slot] as number, now);
  }
}
