import type { Clock } from './clock.js';

/** Trouble that lasts is logged at its beginning and then so often, in milliseconds. */
export const TROUBLE_REPEAT_MS = 300_000;

/** Keeps trouble that is met again with every attempt from filling a log: whether this time is one to tell of. */
export class LastingTrouble {
  #told: { readonly weight: number; readonly at: number } | undefined;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** `weight`: what is worse than what was told is told at once. */
  isToTell(weight = 0): boolean {
    const now = this.clock.now();
    const told = this.#told;
    if (told !== undefined && weight <= told.weight && now - told.at < TROUBLE_REPEAT_MS) return false;
    this.#told = { weight, at: now };
    return true;
  }

  /** The next trouble is another one. */
  over(): void {
    this.#told = undefined;
  }
}
