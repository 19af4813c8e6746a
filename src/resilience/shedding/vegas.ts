import type { Random } from '../../core/random.js';
import type { LimitBounds, WindowedLimit, WindowSample } from './limit.js';

/** Netflix concurrency-limits VegasLimit: `initialLimit`, `maxConcurrency`. */
export const VEGAS_BOUNDS: LimitBounds = { initialLimit: 20, minLimit: 1, maxLimit: 1_000 };
/** Times log10 of the limit: fewer requests waiting than `alpha` and the limit grows, more than `beta` and it shrinks. */
export const VEGAS_ALPHA = 3;
export const VEGAS_BETA = 6;
/** The shortest time is forgotten after half to all of so many windows times the limit: `probeMultiplier`. */
export const VEGAS_PROBE = 30;

/**
 * TCP Vegas: what requests take beyond the shortest time ever seen is waiting, so the limit times that share is how many wait. Aims at a short queue.
 *
 * Netflix's VegasLimit.
 */
export class Vegas implements WindowedLimit {
  #limit: number;
  /** 0: none was seen yet. */
  #shortestMs = 0;
  #windows = 0;
  /** 0.5 to 1, drawn again with each probe: servers that began together do not probe together. */
  #jitter: number;

  constructor(
    private readonly random: Random,
    private readonly bounds: LimitBounds = VEGAS_BOUNDS,
  ) {
    this.#limit = bounds.initialLimit;
    this.#jitter = this.#draw();
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  update({ rttMs, inFlight, dropped }: WindowSample): void {
    this.#windows++;
    if (this.#jitter * VEGAS_PROBE * this.#limit <= this.#windows) {
      this.#jitter = this.#draw();
      this.#windows = 0;
      this.#shortestMs = rttMs;
    } else if (this.#shortestMs === 0 || rttMs < this.#shortestMs) this.#shortestMs = rttMs;
    else this.#limit = this.#bounded(this.#next(rttMs, inFlight, dropped));
  }

  #next(rttMs: number, inFlight: number, dropped: boolean): number {
    const limit = this.#limit;
    const step = Math.max(1, Math.floor(Math.log10(limit)));
    if (dropped) return limit - step;
    if (inFlight * 2 < limit) return limit;
    const waiting = Math.ceil(limit * (1 - this.#shortestMs / rttMs));
    if (waiting <= step) return limit + VEGAS_BETA * step;
    if (waiting < VEGAS_ALPHA * step) return limit + step;
    return waiting > VEGAS_BETA * step ? limit - step : limit;
  }

  #bounded(limit: number): number {
    return Math.max(this.bounds.minLimit, Math.min(this.bounds.maxLimit, limit));
  }

  #draw(): number {
    return 0.5 + this.random.next() / 2;
  }
}
