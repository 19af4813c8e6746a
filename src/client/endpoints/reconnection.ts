import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Random } from '../../core/random.js';

/** Between attempts to reach what could not be reached: 1 s × 1.6 to 120 s, ± 20 % (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

/** When it is time to look again at an endpoint, or at all of a level, that could not be reached. */
export class Reconnection {
  /** Attempts to come back so far; the next wait grows with it. */
  #attempts = 0;
  /** Monotonic milliseconds; 0: at once. */
  #at = 0;

  constructor(private readonly random: Random) {}

  get at(): number {
    return this.#at;
  }

  get attempts(): number {
    return this.#attempts;
  }

  due(now: number): boolean {
    return now >= this.#at;
  }

  /** Somebody looks now: the others wait for longer than before. */
  begin(now: number): void {
    this.#attempts++;
    this.#backOff(now);
  }

  /** Still not there. The wait counts from here, and grows only by an attempt that was due: of others there may be any number. */
  failed(now: number): void {
    if (this.due(now)) this.#attempts++;
    this.#backOff(now);
  }

  /** There may be news: whoever comes next looks. */
  hurry(): void {
    this.#at = 0;
  }

  /** It has been reached. */
  reset(): void {
    this.#attempts = 0;
    this.#at = 0;
  }

  #backOff(now: number): void {
    this.#at = now + spreadJitter(BACKOFF, this.#attempts, this.random);
  }
}
