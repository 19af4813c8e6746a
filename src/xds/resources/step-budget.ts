import type { Steps } from '../../core/steps.js';

/**
 * Messages and elements of lists that a decoder may look at between two pauses, 10 to 20 ms of work. Lists that may well be long pause as they
 * are read; so only what nobody needs, such as a route of 10,000 clusters, has more that must be read in one go.
 */
export const MAX_STEP_VALUES = 20_000;

/**
 * What one step of decoding has cost so far. It holds every decoder to the size of a step, that of a field as well whose list nobody
 * thought of: such a resource is refused, and the event loop is not blocked.
 */
export class StepBudget {
  #spent = 0;

  /** `refuse` throws: the step has become too large. */
  spend(values: number, refuse: (problem: string) => never): void {
    this.#spent += values;
    if (this.#spent > MAX_STEP_VALUES)
      refuse(`is too large: more than ${MAX_STEP_VALUES} values that must be read in one go; split it`);
  }

  /** Runs the work; each of its steps may spend the whole budget. */
  *renewed<T>(work: Steps<T>): Steps<T> {
    for (;;) {
      this.#spent = 0;
      const step = work.next();
      if (step.done === true) return step.value;
      yield;
    }
  }
}
