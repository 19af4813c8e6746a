import type { LimitBounds, WindowedLimit, WindowSample } from './limit.js';

/** Netflix concurrency-limits AIMDLimit: `initialLimit`, `minLimit`, `maxLimit`. */
export const AIMD_BOUNDS: LimitBounds = { initialLimit: 20, minLimit: 20, maxLimit: 200 };
/** What is left of the limit after a loss: `backoffRatio`. */
export const AIMD_BACKOFF = 0.9;
/** A request that took longer counts as lost, in milliseconds: `timeout`. */
export const AIMD_TIMEOUT_MS = 5_000;

/**
 * One more while all goes well, a tenth fewer when callers stop waiting. Knows nothing of queues until they cost something: for services whose times vary too
 * much for the others.
 *
 * Netflix's AIMDLimit.
 */
export class Aimd implements WindowedLimit {
  #limit: number;

  constructor(private readonly bounds: LimitBounds = AIMD_BOUNDS) {
    this.#limit = bounds.initialLimit;
  }

  get limit(): number {
    return this.#limit;
  }

  update({ rttMs, inFlight, dropped }: WindowSample): void {
    const { minLimit, maxLimit } = this.bounds;
    if (dropped || rttMs > AIMD_TIMEOUT_MS) this.#limit = Math.max(minLimit, Math.floor(this.#limit * AIMD_BACKOFF));
    else if (inFlight * 2 >= this.#limit) this.#limit = Math.min(maxLimit, this.#limit + 1);
  }
}
