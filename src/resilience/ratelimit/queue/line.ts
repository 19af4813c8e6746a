import type { Cancellation } from '../../../core/cancellation.js';
import type { Clock } from '../../../core/clock.js';
import { outsideOfCalls } from '../../../core/context.js';
import type { LimitState } from '../../../core/limits.js';
import type { Limit, LimitRule } from '../../../core/model/limit.js';
import { Flows, type Queued } from './flows.js';
import { turnAfterMs } from './forecast.js';

/** What the count says; undefined: it does not answer. */
export type Taking = LimitState | undefined | Promise<LimitState | undefined>;

/** A request that must wait. */
export interface WaitFor {
  readonly limit: Limit;
  readonly cost: number;
  readonly queue: NonNullable<LimitRule['queue']>;
  /** Who sent it. */
  readonly flow: string;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly cancellation: Cancellation | undefined;
  take(): Taking;
  giveBack(taken: LimitState): void;
}

/** How waiting ended. `gone`: its caller gave up, its deadline passed, or the mesh was closed. */
export type Turn =
  | { readonly kind: 'taken'; readonly state: LimitState; readonly waitedMs: number }
  | { readonly kind: 'refused'; readonly reason: 'limit' | 'queue-full'; readonly retryAfterMs: number }
  | { readonly kind: 'no-answer' }
  | { readonly kind: 'gone' };

/** Questions under way at once, at most. */
const MAX_ASKING = 64;

class Waiter implements Queued {
  readonly flow: string;
  readonly cost: number;
  stop: () => void = () => {};

  constructor(
    readonly what: WaitFor,
    readonly since: number,
    private readonly resolve: (turn: Turn) => void,
  ) {
    this.flow = what.flow;
    this.cost = what.cost;
  }

  end(turn: Turn): void {
    this.stop();
    this.resolve(turn);
  }
}

/**
 * Those that wait for one count. The first asks it, when its turn has come, and as many behind it as the count has said that there is room for, so that a
 * store that must be asked is not asked one by one. Nobody else takes from the count while there is a line, so that what the count says of the first's turn
 * holds. What is granted goes to the first in line, whoever has asked, as long as it asks for the same.
 */
export class Line {
  readonly #flows = new Flows<Waiter>();
  /** When the first is to ask. */
  #turnAt = 0;
  #stopTimer: (() => void) | undefined;
  /** Questions without an answer; those who asked may have left meanwhile. While there are any, nobody asks anew. */
  #asking = 0;
  /** What the count said last that it would let through beyond. */
  #room = 0;
  /** Who was refused in the round of questions that is under way, first, and until when. */
  #refused: { readonly waiter: Waiter; readonly until: number } | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'now' | 'after'>,
    private readonly onEmpty: () => void,
  ) {}

  get length(): number {
    return this.#flows.length;
  }

  /** `turnMs`: until the count lets this one through; for the first of the line only. */
  wait(what: WaitFor, turnMs: number): Turn | Promise<Turn> {
    const now = this.clock.now();
    const first = this.#flows.first;
    const turnAt =
      first === undefined
        ? now + turnMs
        : Math.max(this.#turnAt, now) + turnAfterMs(what.limit, first.cost, this.#flows.ahead(what.flow), what.cost);
    const until = Math.min(now + what.queue.maxWaitMs, what.deadline);
    if (turnAt > until) return { kind: 'refused', reason: 'limit', retryAfterMs: turnAt - now };
    if (this.length >= what.queue.maxLength) {
      const displaced = this.#flows.displaceFor(what.flow);
      if (displaced === undefined) return { kind: 'refused', reason: 'queue-full', retryAfterMs: turnAt - now };
      displaced.end({ kind: 'refused', reason: 'queue-full', retryAfterMs: turnAt - now });
    }
    return new Promise((resolve) => {
      const waiter = new Waiter(what, now, resolve);
      this.#flows.add(waiter);
      this.#watch(waiter, until);
      if (this.#flows.first === waiter) this.#arm(turnAt);
    });
  }

  /** The first asks now. */
  wake(): void {
    this.#serve();
  }

  /** Everybody goes. */
  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    for (const waiter of this.#flows.drain()) waiter.end({ kind: 'gone' });
  }

  /** Lets it leave when it has waited long enough, or its caller gives up. */
  #watch(waiter: Waiter, until: number): void {
    const { what } = waiter;
    const leave = (turn: Turn): void => {
      const wasFirst = this.#flows.first === waiter;
      if (!this.#flows.remove(waiter)) return;
      waiter.end(turn);
      // The next may count less, and have its turn now.
      if (wasFirst) this.wake();
    };
    const gone = (): void => leave({ kind: 'gone' });
    const late = (): void =>
      leave(
        until < what.deadline
          ? { kind: 'refused', reason: 'limit', retryAfterMs: Math.max(0, this.#turnAt - this.clock.now()) }
          : { kind: 'gone' },
      );
    const stopTimer = outsideOfCalls(() => this.clock.after(until - waiter.since, late));
    waiter.stop = () => {
      stopTimer();
      what.cancellation?.remove(gone);
    };
    what.cancellation?.add(gone);
  }

  #arm(at: number): void {
    this.#turnAt = at;
    this.#stopTimer?.();
    this.#stopTimer = outsideOfCalls(() => this.clock.after(at - this.clock.now(), () => this.#serve()));
  }

  /** As long as the count lets them through. */
  readonly #serve = (): void => {
    if (this.#asking > 0) return;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    for (let first = this.#flows.first; first !== undefined; first = this.#flows.first) {
      const state = first.what.take();
      if (state instanceof Promise) {
        this.#asking = 1;
        this.#hear(first, state);
        this.#askBehind(first.cost);
        return;
      }
      this.#settle(first, state);
      if (this.#waits()) return;
    }
    this.onEmpty();
  };

  /** Asks for those behind the first that there is room for; the first counts `cost`. */
  #askBehind(cost: number): void {
    let room = this.#room - cost;
    if (room <= 0) return;
    const [, ...behind] = this.#flows.next(MAX_ASKING);
    for (const waiter of behind) {
      room -= waiter.cost;
      if (room < 0) return;
      this.#asking++;
      this.#hear(waiter, Promise.resolve(waiter.what.take()));
    }
  }

  #hear(waiter: Waiter, answer: Promise<LimitState | undefined>): void {
    const heard = (state: LimitState | undefined): void => {
      this.#asking--;
      this.#settle(waiter, state);
      if (this.#asking === 0 && !this.#waits()) this.#serve();
    };
    answer.then(heard, () => heard(undefined));
  }

  /** Whether the first was refused, and is to ask again when its turn has come. */
  #waits(): boolean {
    const refused = this.#refused;
    this.#refused = undefined;
    if (refused === undefined || refused.waiter !== this.#flows.first) return false;
    this.#arm(refused.until);
    return true;
  }

  /** What the count said to one that asked. */
  #settle(asker: Waiter, state: LimitState | undefined): void {
    const { first } = this.#flows;
    if (state === undefined) {
      this.#room = 0;
      if (this.#leaves(asker)) asker.end({ kind: 'no-answer' });
      return;
    }
    this.#room = state.allowed ? state.remaining : 0;
    const now = this.clock.now();
    if (state.allowed) {
      if (first !== undefined && (first === asker || asksAlike(first, asker))) {
        this.#flows.shift();
        first.end({ kind: 'taken', state, waitedMs: now - first.since });
      } else asker.what.giveBack(state);
    } else if (state.retryAfterMs === Number.POSITIVE_INFINITY) {
      if (this.#leaves(asker)) asker.end({ kind: 'refused', reason: 'limit', retryAfterMs: state.retryAfterMs });
    } else this.#refused ??= { waiter: asker, until: now + state.retryAfterMs };
  }

  /** Takes one out that has had its turn. Whether it was there still. */
  #leaves(waiter: Waiter): boolean {
    if (this.#flows.first !== waiter) return this.#flows.remove(waiter);
    this.#flows.shift();
    return true;
  }
}

/** What one of them was granted is as good for the other. */
const asksAlike = (a: Waiter, b: Waiter): boolean => a.cost === b.cost && a.what.limit === b.what.limit;
