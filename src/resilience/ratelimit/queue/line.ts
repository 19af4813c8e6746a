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
 * Those that wait for one count. Only the first asks it, when its turn has come; nobody else takes from the count while there is a line, so that what the
 * count says of the first's turn holds.
 */
export class Line {
  readonly #flows = new Flows<Waiter>();
  /** When the first is to ask. */
  #turnAt = 0;
  #stopTimer: (() => void) | undefined;
  /** The one that has asked and has no answer yet; it may have left meanwhile. */
  #asking: Waiter | undefined;

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
    if (this.#asking === undefined) this.#serve();
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

  /** One after the other, as long as the count lets them through. */
  readonly #serve = (): void => {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    for (let first = this.#flows.first; first !== undefined; first = this.#flows.first) {
      const state = first.what.take();
      if (state instanceof Promise) {
        const asking = first;
        this.#asking = asking;
        state.then(
          (answer) => this.#answered(asking, answer),
          () => this.#answered(asking, undefined),
        );
        return;
      }
      if (!this.#settle(first, state)) return;
    }
    this.onEmpty();
  };

  #answered(waiter: Waiter, state: LimitState | undefined): void {
    this.#asking = undefined;
    if (this.#flows.first !== waiter) {
      // It left, or somebody came before it: what it took is given back, and the first asks.
      if (state?.allowed) waiter.what.giveBack(state);
    } else if (!this.#settle(waiter, state)) return;
    this.#serve();
  }

  /** What the count said to the first. Whether the next may ask at once. */
  #settle(first: Waiter, state: LimitState | undefined): boolean {
    if (state === undefined) {
      this.#flows.shift();
      first.end({ kind: 'no-answer' });
      return true;
    }
    const now = this.clock.now();
    if (state.allowed) {
      this.#flows.shift();
      first.end({ kind: 'taken', state, waitedMs: now - first.since });
      return true;
    }
    if (state.retryAfterMs === Number.POSITIVE_INFINITY) {
      this.#flows.shift();
      first.end({ kind: 'refused', reason: 'limit', retryAfterMs: state.retryAfterMs });
      return true;
    }
    this.#arm(now + state.retryAfterMs);
    return false;
  }
}
