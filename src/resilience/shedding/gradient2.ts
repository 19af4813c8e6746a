import type { LimitBounds, WindowedLimit, WindowSample } from './limit.js';

/** Netflix concurrency-limits Gradient2Limit: `initialLimit`, `minLimit`, `maxConcurrency`. */
export const GRADIENT2_BOUNDS: LimitBounds = { initialLimit: 20, minLimit: 20, maxLimit: 200 };
/** Of each decision, how much is taken over at once: `smoothing`. */
export const GRADIENT2_SMOOTHING = 0.2;
/** Requests that may wait, which is also how fast the limit grows: `queueSize`. */
export const GRADIENT2_QUEUE = 4;
/** How many times longer than usual requests may take before the limit shrinks: `rttTolerance`. */
export const GRADIENT2_TOLERANCE = 1.5;
/** Windows that "usual" is a mean of: `longWindow`. */
export const GRADIENT2_LONG_WINDOW = 600;

/** The first windows are averaged as they are (`ExpAvgMeasurement`, its `warmupWindow`). */
const WARM_UP = 10;
/** After a long overload the usual time is brought down faster than by averaging. */
const RECOVERY = 0.95;

/**
 * Compares how long requests take now with how long they usually take: longer means that they queue, and that fewer should be let in. Averages, not minima: the
 * minimum is that of the cheapest request.
 *
 * Netflix's Gradient2Limit. Not Envoy's gradient controller (gradient-controller.ts), which measures the time without load by letting in next to nobody.
 */
export class Gradient2 implements WindowedLimit {
  #limit: number;
  #usualMs = 0;
  #windows = 0;

  constructor(private readonly bounds: LimitBounds = GRADIENT2_BOUNDS) {
    this.#limit = bounds.initialLimit;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  update({ rttMs, inFlight }: WindowSample): void {
    const usualMs = this.#average(rttMs);
    if (usualMs / rttMs > 2) this.#usualMs *= RECOVERY;
    // Half empty: how long requests take says nothing about a larger limit.
    if (inFlight < this.#limit / 2) return;
    const gradient = Math.max(0.5, Math.min(1, (GRADIENT2_TOLERANCE * usualMs) / rttMs));
    const wanted = this.#limit * gradient + GRADIENT2_QUEUE;
    const next = this.#limit * (1 - GRADIENT2_SMOOTHING) + wanted * GRADIENT2_SMOOTHING;
    this.#limit = Math.max(this.bounds.minLimit, Math.min(this.bounds.maxLimit, next));
  }

  #average(rttMs: number): number {
    this.#windows = Math.min(this.#windows + 1, WARM_UP + 1);
    const share = this.#windows <= WARM_UP ? 1 / this.#windows : 2 / (GRADIENT2_LONG_WINDOW + 1);
    this.#usualMs += (rttMs - this.#usualMs) * share;
    return this.#usualMs;
  }
}
