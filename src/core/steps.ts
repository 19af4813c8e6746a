import type { Clock } from './clock.js';

/**
 * Work that may be interrupted: a generator that yields wherever it can pause and returns the result. Whoever runs it decides whether it
 * does: `runToEnd` never, `runInSlices` when the event loop has waited long enough.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** Milliseconds of work before the event loop gets its turn. */
export const SLICE_MS = 2;

/** Runs the work in one go. Throws what it throws. */
export function runToEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** When to pause; one for all the pieces of an update, so that many small ones pause as one large one does. */
export class Slices {
  #endsAt: number;

  constructor(
    private readonly clock: Clock,
    private readonly sliceMs: number = SLICE_MS,
  ) {
    this.#endsAt = clock.now() + sliceMs;
  }

  /** True when the slice is used up. */
  get over(): boolean {
    return this.clock.now() >= this.#endsAt;
  }

  /** Lets the event loop turn; the next slice begins afterwards. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => this.clock.after(0, resolve));
    this.#endsAt = this.clock.now() + this.sliceMs;
  }
}

/** Runs the work, a slice at a time. Rejects with what it throws. */
export async function runInSlices<T>(steps: Steps<T>, slices: Slices): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (slices.over) await slices.pause();
  }
}
