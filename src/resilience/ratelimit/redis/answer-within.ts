import type { Clock } from '../../../core/clock.js';

interface Waiting {
  readonly dueAt: number;
  /** Undefined once there is an answer. */
  give: ((error: Error) => void) | undefined;
}

/** Answers that must come within a time, the same for all of them: so one timer does for all, that of the one that has waited longest. */
export class AnswerWithin {
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #late: () => Error;
  /** In the order in which they are due. Answered ones leave when those before them do. */
  #line: Waiting[] = [];
  #first = 0;
  /** How many in the line have no answer yet. */
  #open = 0;
  #stop: (() => void) | undefined;

  constructor(clock: Clock, waitMs: number, late: () => Error) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#late = late;
  }

  /** Settles as `answer` does, or rejects when it has not by then. */
  of<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = { dueAt: this.#clock.now() + this.#waitMs, give: reject };
      this.#line.push(waiting);
      this.#open++;
      if (this.#stop === undefined) this.#arm(this.#waitMs);
      answer.then(
        (value) => this.#settled(waiting) && resolve(value),
        (error: unknown) => this.#settled(waiting) && reject(error as Error),
      );
    });
  }

  #settled(waiting: Waiting): boolean {
    if (waiting.give === undefined) return false;
    waiting.give = undefined;
    if (--this.#open === 0) {
      this.#line = [];
      this.#first = 0;
      this.#stop?.();
      this.#stop = undefined;
    } else if (this.#line[this.#first] === waiting) {
      this.#skipAnswered();
    }
    return true;
  }

  #skipAnswered(): void {
    while (this.#first < this.#line.length && this.#line[this.#first]?.give === undefined) this.#first++;
    // Half of the line has left: the array need not hold it.
    if (this.#first > 64 && this.#first * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#first);
      this.#first = 0;
    }
  }

  #arm(delayMs: number): void {
    this.#stop = this.#clock.after(delayMs, () => this.#due());
  }

  #due(): void {
    this.#stop = undefined;
    const now = this.#clock.now();
    for (let at = this.#line[this.#first]; at !== undefined && at.dueAt <= now; at = this.#line[this.#first]) {
      const { give } = at;
      this.#first++;
      if (give === undefined) continue;
      at.give = undefined;
      this.#open--;
      give(this.#late());
    }
    this.#skipAnswered();
    const next = this.#line[this.#first];
    if (next !== undefined) this.#arm(next.dueAt - now);
    else [this.#line, this.#first] = [[], 0];
  }
}
