import { choiceOf } from './p2c.js';
import type { BalancerEnv, Policy } from './policy.js';

/** An endpoint not picked for this long is picked once when it is drawn (Kratos P2C `forcePick`, 3 s). */
const FORCE_AFTER_MS = 3_000;
/** Least latency that counts, so that endpoints whose history has faded differ by what they have in flight. */
const FLOOR_MS = 0.01;
/** The longest wait that an endpoint may ask for (Linkerd's load biaser, 300 s): beyond that it would be forgotten. */
export const MAX_HOLD_MS = 300_000;

/**
 * Latency as Finagle's PeakEwma sees it: a rise counts at once and whole, a fall slowly, by half-lives of `decayMs`; so one that
 * slows down is left at once and won back with care. Default decay 10 s, 30 ms for one not yet seen (linkerd2-proxy).
 */
export class PeakEwma {
  /** Milliseconds, as of `#at`. */
  #value: number;
  #at: number;
  /** What the endpoint asked to be left alone for, in milliseconds, and until when; written by `hold`, void afterwards. */
  #hold = 0;
  #holdUntil = Number.NEGATIVE_INFINITY;

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

  /**
   * "Come back in `delayMs`" (`Retry-After`, `grpc-retry-pushback-ms`): until then it costs that long, whatever else is seen of it; MAX_HOLD_MS
   * at most. A shorter wait that it asks for later takes nothing back.
   */
  hold(delayMs: number, now: number): void {
    const delay = Math.min(delayMs, MAX_HOLD_MS);
    // Not a number and not in the future: nothing is asked for.
    if (!(delay > 0) || now + delay <= this.#holdUntil) return;
    this.#hold = delay;
    this.#holdUntil = now + delay;
  }

  held(now: number): boolean {
    return now < this.#holdUntil;
  }

  /** What is expected of the next call, in milliseconds; fades towards 0 while nothing is seen. */
  value(now: number): number {
    const expected = Math.max(FLOOR_MS, this.#value * this.#fade(now));
    return this.held(now) ? Math.max(expected, this.#hold) : expected;
  }

  #fade(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / this.decayMs);
  }
}

/** Cost = expected latency × (calls in flight + 1), the cheaper of two (Finagle p2cPeakEwma). */
export function peakEwma(env: BalancerEnv): Policy {
  return choiceOf(
    {
      choices: 2,
      cost: (endpoint, load, now) => endpoint.latency.value(now) * (load + 1),
      overdue: (loser, now) => now - loser.lastPicked > FORCE_AFTER_MS && !loser.latency.held(now),
    },
    env,
  );
}
