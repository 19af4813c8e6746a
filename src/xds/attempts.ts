import { type Backoff, spreadJitter } from '../core/backoff.js';
import type { Clock } from '../core/clock.js';
import type { Random } from '../core/random.js';

/** grpc/doc/connection-backoff.md, which gRFC A57 points to and C-core's lrs_client.cc has too: 1 s × 1.6 to 120 s, ± 20 %. */
const BACKOFF: Backoff = { baseMs: 1_000, multiplier: 1.6, maxMs: 120_000 };
/** connection-backoff.md, MIN_CONNECT_TIMEOUT: one attempt may take so long, be it a peer that accepts and says nothing. In milliseconds. */
export const CONNECT_TIMEOUT_MS = 20_000;

/**
 * The attempts to have a stream to a server: how long each may take, and how long to wait for the next. There is one timer, as a stream
 * waits for one thing at a time: what is awaited next takes the place of what was awaited before.
 */
export class Attempts {
  #failures = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Attempts in a row that brought no response. */
  get failures(): number {
    return this.#failures;
  }

  /** Whether something is awaited. */
  get waiting(): boolean {
    return this.#cancelTimer !== undefined;
  }

  /** One begins; `giveUp` ends it when its time is over, unless `wait` or `stop` was called. */
  begun(giveUp: (details: string) => void, background = false): void {
    this.wait(CONNECT_TIMEOUT_MS, () => giveUp(`not connected after ${CONNECT_TIMEOUT_MS} ms`), background);
  }

  failed(): void {
    this.#failures++;
  }

  /** "If we saw a response on the current stream, reset backoff" - C-core. */
  answered(): void {
    this.#failures = 0;
  }

  /** The wait after as many failures, in milliseconds; at least the first one. */
  backoffMs(backoff: Backoff = BACKOFF): number {
    return spreadJitter(backoff, Math.max(1, this.#failures), this.random);
  }

  /** `background`: the process may end meanwhile. */
  wait(delayMs: number, task: () => void, background = false): void {
    this.stop();
    const run = (): void => {
      this.#cancelTimer = undefined;
      task();
    };
    this.#cancelTimer = this.clock.after(delayMs, run, { background });
  }

  /** Nothing is awaited any more. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
