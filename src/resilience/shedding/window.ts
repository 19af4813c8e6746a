import type { Limit, WindowedLimit } from './limit.js';

/** Netflix concurrency-limits WindowedLimit: `minWindowTime` and `maxWindowTime` are the same. Milliseconds. */
export const WINDOW_MS = 1_000;
/** Fewer say nothing (`windowSize`). */
export const LEAST_SAMPLES = 10;
/** Shorter requests did nothing that could tell how full the server is (`minRttThreshold`). Milliseconds. */
export const LEAST_RTT_MS = 0.1;

/** Gathers the samples of a second and lets a limit decide by their mean: single requests differ too much from each other. */
export class Windowed implements Limit {
  #endsAt = Number.NEGATIVE_INFINITY;
  /** Of the window under way; reset with `#endsAt`. */
  #samples = 0;
  #sumMs = 0;
  #inFlight = 0;
  #dropped = false;

  constructor(private readonly limit: WindowedLimit) {}

  at(): number {
    return this.limit.limit;
  }

  sample(startedAt: number, rttMs: number, inFlight: number, dropped: boolean): void {
    if (rttMs < LEAST_RTT_MS) return;
    this.#samples++;
    this.#sumMs += rttMs;
    this.#inFlight = Math.max(this.#inFlight, inFlight);
    this.#dropped ||= dropped;
    const now = startedAt + rttMs;
    if (now <= this.#endsAt) return;
    const enough = this.#samples >= LEAST_SAMPLES;
    const window = { rttMs: this.#sumMs / this.#samples, inFlight: this.#inFlight, dropped: this.#dropped };
    this.#endsAt = now + WINDOW_MS;
    this.#samples = 0;
    this.#sumMs = 0;
    this.#inFlight = 0;
    this.#dropped = false;
    if (enough) this.limit.update(window);
  }
}
