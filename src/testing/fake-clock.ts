import type { Clock } from '../core/clock.js';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock that stands still until it is told to go on. Timers run in order of time, then of setting. */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Pending>();

  /** Starts at `startAt` monotonic milliseconds; wall time runs along from `epoch`, milliseconds since 1970. */
  constructor(
    startAt = 1_000,
    private readonly epoch = 1_700_000_000_000,
  ) {
    this.#now = startAt;
  }

  /** Timers that are set and have not run: 0 when everything was cleaned up. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.epoch + this.#now;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Pending = { at: this.#now + Math.max(0, delayMs), order: this.#order++, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves on by `ms`, running what falls due, and lets promises settle after each timer. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#due(until); next !== undefined; next = this.#due(until)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
      await settle();
    }
    this.#now = until;
  }

  #due(until: number): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }
}

/** Lets everything run that is ready: promise chains and one turn of the event loop. */
// biome-ignore lint/style/noRestrictedGlobals: this stands in for the clock, and only the real loop can turn
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
