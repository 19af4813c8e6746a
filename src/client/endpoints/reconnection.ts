import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Random } from '../../core/random.js';

/** Between attempts to reach what could not be reached: 1 s × 1.6 to 120 s, ± 20 % (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

/** When it is time to look again at an endpoint that could not be reached. */
export class Reconnection {
  /** Attempts to come back so far; the next wait grows with it. */
  #attempts = 0;
  /** Monotonic milliseconds; 0: at once. */
  #at = 0;

  constructor(private readonly random: Random) {}

  get at(): number {
    return this.#at;
  }

  /** It is looked at now; if that comes to nothing, the next look is longer in coming. */
  begin(now: number): void {
    this.#attempts++;
    this.#backOff(now);
  }

  /** Still not there. The wait counts from here, and grows only by an attempt that was due: of others there may be any number. */
  failed(now: number): void {
    if (now >= this.#at) this.#attempts++;
    this.#backOff(now);
  }

  /** There is reason to think that it is back. */
  hurry(now: number): void {
    this.#at = Math.min(this.#at, now);
  }

  #backOff(now: number): void {
    this.#at = now + spreadJitter(BACKOFF, this.#attempts, this.random);
  }
}
