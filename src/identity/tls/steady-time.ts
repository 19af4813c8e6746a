import type { Clock } from '../../core/clock.js';

/** How far a wall clock may jump, either way, and certificates are still judged by what it said before; in milliseconds. */
export const JUMP_MAX_MS = 2 * 3_600_000;
/** For how long: then the new time is the time. As long as our leaf certificates live, so that all of the old time are replaced by then. */
export const JUMP_KEPT_MS = 24 * 3_600_000;
/** Differences that are no jumps but the clock being set a little, in milliseconds. */
const DRIFT_MS = 1_000;

/**
 * The times that it may be. Wall time, and after a jump of it also the time that it would be without: which of them is right nobody here can know, and a
 * certificate that is valid at one of them is let pass.
 */
export class SteadyTime {
  /** Wall time when the monotonic clock was at 0, by the wall clock before it jumped. */
  #epoch: number;
  /** Monotonic milliseconds since which the wall clock says something else. */
  #jumpedAt: number | undefined;

  constructor(private readonly clock: Pick<Clock, 'now' | 'wallTime'>) {
    this.#epoch = clock.wallTime() - clock.now();
  }

  /** Wall-clock milliseconds; one or two. */
  times(): readonly number[] {
    const now = this.clock.now();
    const wall = this.clock.wallTime();
    const steady = this.#epoch + now;
    const jump = Math.abs(wall - steady);
    if (jump > DRIFT_MS && jump <= JUMP_MAX_MS) {
      this.#jumpedAt ??= now;
      if (now - this.#jumpedAt < JUMP_KEPT_MS) return [wall, steady];
    }
    this.#jumpedAt = undefined;
    this.#epoch = wall - now;
    return [wall];
  }
}
