import type { Balancer, BalancerEnv } from './balancer.js';
import { choiceOf } from './p2c.js';

/** An endpoint not picked for this long is picked once when it is drawn (Kratos P2C `forcePick`, 3 s). */
const FORCE_AFTER_MS = 3_000;
/** Least latency that counts, so that endpoints whose history has faded differ by what they have in flight. */
const FLOOR_MS = 0.01;

/**
 * Latency as Finagle's PeakEwma sees it: a rise counts at once and whole, a fall slowly, by half-lives of `decayMs`; so one that
 * slows down is left at once and won back with care. Default decay 10 s, 30 ms for one not yet seen (linkerd2-proxy).
 */
export class PeakEwma {
  /** Milliseconds, as of `#at`. */
  #value: number;
  #at: number;

  constructor(
    private readonly decayMs: number,
    startMs: number,
    now: number,
  ) {
    this.#value = startMs;
    this.#at = now;
  }

  /** `at` may lie in the past, for a reply that took long to end: then it counts as of what is known. */
  observe(latencyMs: number, at: number): void {
    const now = Math.max(at, this.#at);
    const weight = this.#fade(now);
    this.#value =
      latencyMs > this.#value * weight
        ? Math.max(latencyMs, this.#value * weight)
        : this.#value * weight + latencyMs * (1 - weight);
    this.#at = now;
  }

  /** What is expected of the next call, in milliseconds; fades towards 0 while nothing is seen. */
  value(now: number): number {
    return Math.max(FLOOR_MS, this.#value * this.#fade(now));
  }

  #fade(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / this.decayMs);
  }
}

/** Cost = expected latency × (calls in flight + 1), the cheaper of two (Finagle p2cPeakEwma). */
export function peakEwma(env: BalancerEnv): Balancer {
  return choiceOf(
    {
      choices: 2,
      cost: (endpoint, now) => endpoint.latency.value(now) * (endpoint.inflight + 1),
      forceAfterMs: FORCE_AFTER_MS,
    },
    env,
  );
}
