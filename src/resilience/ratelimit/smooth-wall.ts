import type { Clock } from '../../core/clock.js';

/** How much faster or slower than the monotonic clock it goes while it differs from the wall clock: an hour is made up in 16. */
export const MAX_DRIFT = 1 / 16;
/** Beyond this the wall clock was wrong before, or the process stood still, and there is nothing to keep up: a day, in milliseconds. */
const STEP_MS = 86_400_000;

/**
 * Wall time that does not jump: it goes by the monotonic clock, and follows the wall clock, when that was set, at a rate that differs by no more than
 * MAX_DRIFT. So a calendar's windows keep their length but for that share: nobody gets a window in advance because the clock was set on by an hour, and
 * nobody waits for two because it was set back. A difference of more than a day is taken over at once, once a day at most.
 */
export class SmoothWall {
  #at: number;
  #wall: number;
  #steppedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly clock: Pick<Clock, 'now' | 'wallTime'>) {
    this.#at = clock.now();
    this.#wall = clock.wallTime();
  }

  /** Wall time in milliseconds at the monotonic time `now`, which is never before one that was asked for. */
  at(now: number): number {
    const elapsed = now - this.#at;
    if (elapsed <= 0) return this.#wall;
    this.#at = now;
    this.#wall += elapsed;
    const off = this.clock.wallTime() - this.#wall;
    if (Math.abs(off) > STEP_MS && now - this.#steppedAt >= STEP_MS) {
      this.#steppedAt = now;
      this.#wall += off;
    } else {
      const most = elapsed * MAX_DRIFT;
      this.#wall += Math.min(Math.max(off, -most), most);
    }
    return this.#wall;
  }
}
