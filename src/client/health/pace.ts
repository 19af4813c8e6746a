import type { Clock } from '../../core/clock.js';

/** How many begin within one turn, and how long a turn is, in milliseconds: 6,400 a second. */
const PER_TURN = 64;
const TURN_MS = 10;

/**
 * Lets things begin no faster than at a rate, so that a cluster of 10,000 endpoints is not checked in one burst. The rate and not the number under
 * way: endpoints that do not answer must not keep others from being checked. (bottleneck, which does this elsewhere, takes 4.5 ms a job and does not
 * go by an injected clock.)
 */
export class Pace {
  /** In order. As many at most as there are callers, each of which waits once. */
  readonly #line = new Set<() => void>();
  /** Begun in this turn. */
  #begun = 0;
  #stopTurn: (() => void) | undefined;

  constructor(private readonly clock: Pick<Clock, 'after'>) {}

  /** Runs the task now, or in its turn. The result takes it out of the line. */
  run(task: () => void): () => void {
    if (this.#line.size === 0 && this.#begun < PER_TURN) {
      this.#begin(task);
      return () => {};
    }
    const entry = (): void => task();
    this.#line.add(entry);
    return () => void this.#line.delete(entry);
  }

  /** Empties the line. It can be used again. */
  close(): void {
    this.#line.clear();
    this.#stopTurn?.();
    this.#stopTurn = undefined;
    this.#begun = 0;
  }

  #begin(task: () => void): void {
    this.#begun++;
    this.#stopTurn ??= this.clock.after(TURN_MS, () => this.#nextTurn(), { background: true });
    task();
  }

  #nextTurn(): void {
    this.#stopTurn = undefined;
    this.#begun = 0;
    for (const entry of this.#line) {
      if (this.#begun >= PER_TURN) break;
      this.#line.delete(entry);
      this.#begin(entry);
    }
  }
}
