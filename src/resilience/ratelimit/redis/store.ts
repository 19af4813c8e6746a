import type { LimitState, LimitStore } from '../../../core/limits.js';
import type { Limit } from '../../../core/model/limit.js';
import type { RedisCounts } from './counts.js';
import { mostOf, Taken } from './taken.js';

/** Asks Redis for each decision. */
export class RedisStore implements LimitStore {
  readonly #counts: RedisCounts;

  constructor(counts: RedisCounts) {
    this.#counts = counts;
  }

  take(key: string, limit: Limit, cost: number): Promise<LimitState> {
    const name = this.#counts.nameOf(key, limit);
    return this.#counts
      .ask(name, limit, { need: cost, wanted: cost, ahead: 0, holdMs: 0 })
      .then(
        ({ taken, left, resetMs, retryAfterMs, stamp }) =>
          new Taken(taken >= cost, mostOf(limit), left, resetMs, retryAfterMs, stamp),
      );
  }

  giveBack(key: string, limit: Limit, cost: number, taken: LimitState): void {
    if (!(taken instanceof Taken) || !taken.allowed) return;
    void this.#counts.giveBack(this.#counts.nameOf(key, limit), limit, cost, taken.stamp);
  }

  close(): void {}
}
