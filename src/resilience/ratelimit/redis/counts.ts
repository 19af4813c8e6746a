import { createHash } from 'node:crypto';
import type { Clock } from '../../../core/clock.js';
import type { Limit } from '../../../core/model/limit.js';
import { AnswerWithin } from './answer-within.js';
import { type CalendarLimit, WindowBounds } from './calendar.js';
import type { RedisConnection } from './connection.js';
import type { Scripts } from './scripts.js';

/** What to take: `need` whole or not at all, `wanted` (at least `need`) as far as the limit goes, `ahead` as a lease on top, a fair part at most. */
export interface Wish {
  readonly need: number;
  readonly wanted: number;
  readonly ahead: number;
  /** How long the lease would be held, in milliseconds. */
  readonly holdMs: number;
}

/** What Redis says. Times are milliseconds from `askedAt`. */
export interface Answer {
  /** At least `need`, or 0: refused. */
  readonly taken: number;
  readonly ahead: number;
  readonly left: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
  /** Which window, or when, by Redis's clock: to give back. */
  readonly stamp: number;
  /** How long a lease is good for; of a token bucket its debt, in units of which a request is `perMs`. */
  readonly span: number;
  /**
   * Monotonic; before Redis decided, and by a millisecond more, since Redis counts whole ones: what is good for a time from here on is good for less than
   * that in Redis's own time, never for longer.
   */
  readonly askedAt: number;
}

/** Longer keys, and those that would choose their own slot of a cluster with `{}`, are named by a hash. */
const MAX_KEY_LENGTH = 128;

/**
 * The counts in Redis, one script per decision. Windows of the calendar are told by their bounds, which depend on the time zone and on nothing else; which
 * of them is on, Redis says. So processes whose clocks differ agree.
 */
export class RedisCounts {
  readonly #connection: RedisConnection;
  readonly #scripts: Scripts;
  readonly #clock: Clock;
  readonly #within: AnswerWithin;
  readonly #bounds = new WindowBounds();
  /** Redis's time at monotonic 0: from the last answer; before the first, this process's wall clock is as good a guess as any. */
  #offset: number;

  constructor(connection: RedisConnection, scripts: Scripts, clock: Clock, timeoutMs: number) {
    this.#connection = connection;
    this.#scripts = scripts;
    this.#clock = clock;
    this.#within = new AnswerWithin(
      clock,
      timeoutMs,
      () => new Error(`${connection.where}: no answer within ${timeoutMs} ms (timeout of the store)`),
    );
    this.#offset = clock.wallTime() - clock.now();
  }

  /** Name of the count in Redis. One per algorithm and period: another period is another count. */
  nameOf(key: string, limit: Limit): string {
    const kind = limit.algorithm === 'calendar' ? `calendar:${limit.per}:${limit.timeZone}` : periodOf(limit);
    const short =
      key.length <= MAX_KEY_LENGTH && !/[{}]/.test(key)
        ? key
        : `sha256:${createHash('sha256').update(key).digest('base64url')}`;
    return `${kind}:${short}`;
  }

  /** Settles within the wait that the store declares. What Redis takes later than that, for somebody who has gone on without, is given back. */
  ask(name: string, limit: Limit, wish: Wish): Promise<Answer> {
    const asked = this.#ask(name, limit, wish).then(
      // Not the window that this process thought: now it knows Redis's time.
      (answer) => answer ?? this.#ask(name, limit, wish).then((second) => second ?? unknownWindow()),
    );
    const answer = this.within(asked);
    answer.catch(() =>
      asked.then(
        ({ taken, ahead, stamp, span }) => this.giveBack(name, limit, taken + ahead, stamp, span),
        () => {},
      ),
    );
    return answer;
  }

  /** `answer`, or an error where it does not come within the wait that the store declares. */
  within<T>(answer: Promise<T>): Promise<T> {
    return this.#within.of(answer);
  }

  /** Best effort. Never rejects. `leaseSpan`: of permits that nobody has used, the last of a lease. */
  giveBack(name: string, limit: Limit, cost: number, stamp: number, leaseSpan = 0): Promise<void> {
    if (cost === 0) return Promise.resolve();
    const args = [cost, stamp, leaseSpan, ...this.#parameters(limit, 0)];
    return this.within(this.#connection.run(this.#scripts[limit.algorithm].giveBack, name, args)).then(
      () => {},
      // What cannot be given back is lost until its window ends.
      () => {},
    );
  }

  #ask(name: string, limit: Limit, wish: Wish): Promise<Answer | undefined> {
    const args = [wish.need, wish.wanted, wish.ahead, ...this.#parameters(limit, wish.holdMs)];
    const askedAt = this.#clock.now() - 1;
    return this.#connection.run(this.#scripts[limit.algorithm].take, name, args).then((reply) => {
      const [taken = 0, ahead = 0, left = 0, reset = 0, retry = 0, stamp = 0, time = 0, span = 0] = reply;
      this.#offset = time - this.#clock.now();
      if (taken < 0) return undefined;
      return { taken, ahead, left, resetMs: ever(reset), retryAfterMs: ever(retry), stamp, span, askedAt };
    });
  }

  #parameters(limit: Limit, holdMs: number): readonly number[] {
    switch (limit.algorithm) {
      case 'token_bucket':
        return [limit.requests, limit.perMs, limit.burst, Math.ceil(holdMs)];
      case 'sliding_log':
        return [limit.requests, limit.perMs, Math.ceil(holdMs)];
      case 'calendar': {
        const { start, end, nextEnd } = this.#bounds.at(limit, this.#clock.now() + this.#offset);
        return [limit.requests, start, end, nextEnd];
      }
      default:
        return [limit.requests, limit.perMs];
    }
  }
}

const periodOf = ({ algorithm, perMs }: Exclude<Limit, CalendarLimit>): string => `${algorithm}:${perMs}`;

const ever = (ms: number): number => (ms < 0 ? Number.POSITIVE_INFINITY : ms);

const unknownWindow = (): never => {
  throw new Error('redis is in no window of the calendar that was named, twice: its clock jumps');
};
