import type { Clock } from '../../core/clock.js';

/** How often the event loop has a timer due, in milliseconds: 100 a second while there are requests, and none while there are not. */
export const BEAT_MS = 10;

/**
 * How late the event loop is, at this moment. A service whose handlers compute queues its requests where no count of its own sees them, in sockets that the
 * loop has not come to; what tells is that a timer which is due does not run. Unlike a histogram of delays, this is read while the loop is late, not after.
 */
export class LoopLag {
  #dueAt = 0;
  #lastMs = 0;
  #wanted = false;
  #stop: (() => void) | undefined;

  constructor(private readonly clock: Clock) {}

  /** Requests are coming: the next beats are wanted. */
  watch(now: number): void {
    this.#wanted = true;
    if (this.#stop === undefined) this.#beat(now);
  }

  /** Milliseconds that the timer of now is late, or the one before was, whichever is less: a single pause, for garbage collection say, is no load. */
  lastingMs(now: number): number {
    return Math.max(0, Math.min(this.#lastMs, now - this.#dueAt));
  }

  close(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#lastMs = 0;
  }

  #beat(now: number): void {
    this.#wanted = false;
    this.#dueAt = now + BEAT_MS;
    this.#stop = this.clock.after(BEAT_MS, this.#onBeat, { background: true });
  }

  readonly #onBeat = (): void => {
    const now = this.clock.now();
    this.#lastMs = now - this.#dueAt;
    if (this.#wanted) this.#beat(now);
    else this.close();
  };
}
