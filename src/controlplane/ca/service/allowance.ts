import type { Clock } from '../../../core/clock.js';

/** Refusals of those who are not known that are written down in a minute, from all addresses together: months of them are less than the audit log keeps. */
const WRITTEN = 20;
const WINDOW_MS = 60_000;

/** How much of what strangers do is written down: the log keeps so many bytes, and is not to lose what matters to those who send nonsense. */
export class Allowance {
  #since = Number.NEGATIVE_INFINITY;
  #written = 0;
  #omitted = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** Undefined: it is not to be written. Otherwise how many were not since the last one that was. */
  next(): number | undefined {
    const now = this.clock.now();
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#written = 0;
    }
    if (this.#written === WRITTEN) {
      this.#omitted++;
      return undefined;
    }
    this.#written++;
    const omitted = this.#omitted;
    this.#omitted = 0;
    return omitted;
  }
}
