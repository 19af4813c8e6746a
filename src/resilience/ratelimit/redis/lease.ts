import type { Limit } from '../../../core/model/limit.js';
import type { Answer } from './counts.js';

/**
 * Permits that were taken from a count in advance. They are counted already, so all processes together never exceed the limit; what has to be seen to is
 * that each is used while it counts:
 *
 * - in the window that it was taken from, not after it;
 * - of a sliding log, before the time at which it stands in the log (lua.ts puts it at the end of its time to live);
 * - of a token bucket, before its own turn. Taking n permits is taking n turns, `perMs / requests` apart, beginning where those taken before end: a debt of d
 *   is worked off that much later. Whoever arrives no later than his turn conforms (GCRA), so a permit is good until its turn is over. In a bucket that is nearly
 *   empty the turns are a burst away; in a full one they begin now, and unused permits fade just as fast as the bucket would have filled.
 */
export class Lease {
  /** Not used yet; those whose turn is over included. */
  left: number;
  readonly stamp: number;
  readonly span: number;
  /** Monotonic: none is used from then on. */
  readonly until: number;
  /** Of a token bucket: end of the last turn, and milliseconds between turns. */
  readonly #turnsEnd: number;
  readonly #turnMs: number;

  constructor(permits: number, limit: Limit, answer: Answer, ttlMs: number) {
    this.left = permits;
    this.stamp = answer.stamp;
    const { askedAt, span } = answer;
    this.span = span;
    if (limit.algorithm === 'token_bucket') {
      this.until = askedAt + ttlMs;
      this.#turnMs = limit.perMs / limit.requests;
      this.#turnsEnd = askedAt + span / limit.requests;
    } else {
      this.until = askedAt + Math.min(ttlMs, span);
      this.#turnMs = 0;
      this.#turnsEnd = 0;
    }
  }

  /** Uses as many, the first whose turn is not over; false: there are fewer. */
  use(cost: number, now: number): boolean {
    const usable = this.usable(now);
    if (usable < cost) return false;
    // Those whose turn is over are gone: the bucket has worked them off.
    this.left = usable - cost;
    return true;
  }

  usable(now: number): number {
    if (now >= this.until) return 0;
    if (this.#turnMs === 0) return this.left;
    return Math.max(0, Math.min(this.left, Math.floor((this.#turnsEnd - now) / this.#turnMs)));
  }
}
