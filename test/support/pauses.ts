import type { Steps } from '../../src/core/steps.js';

/** Runs the work and counts its pauses. */
export function countPauses<T>(work: Steps<T>): { readonly pauses: number; readonly result: T } {
  for (let pauses = 0; ; pauses++) {
    const step = work.next();
    if (step.done === true) return { pauses, result: step.value };
  }
}
