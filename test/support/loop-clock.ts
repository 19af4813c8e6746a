import type { Clock } from '../../src/core/clock.js';

/** Time as an event loop has it: timers that are due wait for the turn to end. */
export class LoopClock implements Clock {
  /** Monotonic milliseconds: who computes moves it on. */
  time = 0;
  readonly #timers = new Set<{ readonly at: number; readonly task: () => void }>();

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return this.time;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { at: this.time + delayMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next is due; Infinity when there is none. */
  get nextTimer(): number {
    return Math.min(...Array.from(this.#timers, ({ at }) => at));
  }

  /** Between two turns: those that are due by now. */
  runTimers(): void {
    for (const timer of this.#timers) {
      if (timer.at > this.time) continue;
      this.#timers.delete(timer);
      timer.task();
    }
  }
}
