import type { Clock } from '../../../core/clock.js';
import type { LimitState, LimitStore } from '../../../core/limits.js';
import type { Limit, LimitLease } from '../../../core/model/limit.js';
import type { Answer, RedisCounts } from './counts.js';
import { Lease } from './lease.js';
import { mostOf, Taken } from './taken.js';

/** Keys that are followed, at most: each is a few hundred bytes. Beyond, one of those that were followed first is let go of. */
const MAX_KEYS = 10_000;
const MAX_LOOKED_AT = 32;

/** Calls that wait for one key, at most; one more is refused at once. */
const MAX_WAITING = 10_000;

/** The first lease of a key that is asked for again soon; each further one is twice the one before. */
const FIRST_LEASE = 2;

interface Waiting {
  readonly cost: number;
  /** Has gone on without an answer: what was taken for it is another's. */
  gone: boolean;
  readonly resolve: (state: LimitState) => void;
  readonly reject: (error: Error) => void;
}

/** What is known of one key. */
interface Held {
  readonly name: string;
  limit: Limit;
  /** Oldest first. */
  leases: Lease[];
  /** What the next request takes in advance; 0 while the key is not hot. */
  size: number;
  asking: boolean;
  /** Monotonic; -Infinity before the first time. */
  askedAt: number;
  waiting: Waiting[];
  /** The last answer; times in it are from its `askedAt`. */
  answer: Answer | undefined;
  /** The smallest cost that Redis refused; until then the same, or more, is refused here. `comesAt`: when Redis would let it through. */
  refused: { readonly cost: number; readonly until: number; readonly comesAt: number } | undefined;
}

/**
 * Decides here for keys that are hot, with permits taken in advance. A key gets its first lease when it is asked for again within `ttlMs`, and twice as much
 * each time that this happens again, up to `maxPermits`: a lease lasts about as long as its time to live. When half of it is used the next one is fetched. Calls
 * that must wait for Redis share one request per key. What was refused is refused here until Redis said that it may come again. What is not used is given back.
 */
export class LeasedStore implements LimitStore {
  readonly #counts: RedisCounts;
  readonly #options: LimitLease;
  readonly #clock: Clock;
  readonly #keys = new Map<string, Held>();
  readonly #givingBack = new Set<Promise<unknown>>();
  #stopSweep: (() => void) | undefined;
  #closed = false;

  constructor(counts: RedisCounts, options: LimitLease, clock: Clock) {
    this.#counts = counts;
    this.#options = options;
    this.#clock = clock;
  }

  take(key: string, limit: Limit, cost: number): LimitState | Promise<LimitState> {
    const held = this.#held(this.#counts.nameOf(key, limit), limit);
    const now = this.#clock.now();
    const here = this.#decide(held, cost, now);
    if (here !== undefined) return here;
    return this.#wait(held, cost, now);
  }

  giveBack(key: string, limit: Limit, cost: number, taken: LimitState): void {
    if (taken instanceof Taken && taken.allowed)
      this.#giveBack(this.#counts.nameOf(key, limit), limit, cost, taken.stamp);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopSweep?.();
    for (const held of this.#keys.values()) this.#letGo(held);
    this.#keys.clear();
    await Promise.allSettled(this.#givingBack);
  }

  #held(name: string, limit: Limit): Held {
    let held = this.#keys.get(name);
    if (held !== undefined) {
      held.limit = limit;
      return held;
    }
    if (this.#keys.size >= MAX_KEYS) this.#forgetOne();
    held = {
      name,
      limit,
      leases: [],
      size: 0,
      asking: false,
      askedAt: Number.NEGATIVE_INFINITY,
      waiting: [],
      answer: undefined,
      refused: undefined,
    };
    this.#keys.set(name, held);
    this.#stopSweep ??= this.#sweepLater();
    return held;
  }

  /** By what is known here; undefined: Redis must be asked. */
  #decide(held: Held, cost: number, now: number): LimitState | undefined {
    // Who came before goes first.
    if (held.waiting.length > 0) return undefined;
    const { refused } = held;
    if (refused !== undefined) {
      if (now >= refused.until) held.refused = undefined;
      else if (cost >= refused.cost) return this.#state(held, false, refused.comesAt - now, now, undefined);
    }
    const lease = this.#useLease(held, cost, now);
    if (lease === undefined) return undefined;
    // Half of it is used: fetch the next one before anybody has to wait for it.
    if (!held.asking && this.#usable(held, now) * 2 < held.size) this.#ask(held, now);
    return this.#state(held, true, 0, now, lease);
  }

  /** The lease that pays for it, the oldest that can; undefined: none. A request that counts nothing looks, and Redis knows better. */
  #useLease(held: Held, cost: number, now: number): Lease | undefined {
    return cost === 0 ? undefined : held.leases.find((lease) => lease.use(cost, now));
  }

  #wait(held: Held, cost: number, now: number): Promise<LimitState> {
    while (held.waiting[0]?.gone) held.waiting.shift();
    if (held.waiting.length >= MAX_WAITING)
      return Promise.reject(new Error(`${MAX_WAITING} calls wait for the count of one key already`));
    let waiting: Waiting | undefined;
    const answer = this.#counts.within(
      new Promise<LimitState>((resolve, reject) => {
        waiting = { cost, gone: false, resolve, reject };
        held.waiting.push(waiting);
      }),
    );
    answer.catch(() => ((waiting as Waiting).gone = true));
    if (!held.asking) this.#ask(held, now);
    return answer;
  }

  #usable(held: Held, now: number): number {
    let usable = 0;
    for (const lease of held.leases) usable += lease.usable(now);
    return usable;
  }

  #state(held: Held, allowed: boolean, retryAfterMs: number, now: number, lease: Lease | undefined): Taken {
    const { left, resetMs, askedAt, stamp } = held.answer as Answer;
    const remaining = left + this.#usable(held, now);
    const reset = Math.max(0, resetMs - (now - askedAt));
    return new Taken(allowed, mostOf(held.limit), remaining, reset, retryAfterMs, lease?.stamp ?? stamp);
  }

  /** One request for all that wait, and for the next lease. */
  #ask(held: Held, now: number): void {
    held.asking = true;
    this.#dropSpent(held, now);
    const hot = now - held.askedAt < this.#options.ttlMs;
    held.size = hot ? Math.min(Math.max(held.size * 2, FIRST_LEASE), this.#options.maxPermits) : held.size >> 1;
    held.askedAt = now;
    held.waiting = held.waiting.filter(({ gone }) => !gone);
    const need = held.waiting[0]?.cost ?? 0;
    let wanted = 0;
    for (const { cost } of held.waiting) wanted += cost;
    const wish = { need, wanted, ahead: held.size, holdMs: this.#options.ttlMs };
    this.#counts.ask(held.name, held.limit, wish).then(
      (answer) => this.#answered(held, need, answer),
      (error: Error) => {
        held.asking = false;
        for (const { reject } of held.waiting.splice(0)) reject(error);
      },
    );
  }

  #answered(held: Held, need: number, answer: Answer): void {
    const now = this.#clock.now();
    held.asking = false;
    held.answer = answer;
    // There was less than that to be had: the next one starts from here.
    held.size = Math.min(held.size, answer.ahead);
    const served: Waiting[] = [];
    let { taken } = answer;
    const serve = (canPay: (cost: number) => boolean): void => {
      for (let next = held.waiting[0]; next !== undefined && (next.gone || canPay(next.cost)); next = held.waiting[0]) {
        held.waiting.shift();
        if (!next.gone) served.push(next);
      }
    };
    serve((cost) => {
      if (cost > taken) return false;
      taken -= cost;
      return true;
    });
    // What no call could use stands in a log as of now, and must not be used later: it goes back.
    const kept = held.limit.algorithm === 'sliding_log' ? 0 : taken;
    if (taken > kept) this.#giveBack(held.name, held.limit, taken, answer.stamp);
    const permits = kept + answer.ahead;
    if (permits > 0) held.leases.push(new Lease(permits, held.limit, answer, this.#options.ttlMs));
    serve((cost) => this.#useLease(held, cost, now) !== undefined);
    for (const { resolve } of served) resolve(this.#state(held, true, 0, now, undefined));
    if (answer.taken < need) this.#refuse(held, need, answer, now);
    if (this.#closed) this.#letGo(held);
    else if (held.waiting.length > 0) this.#ask(held, now);
  }

  #refuse(held: Held, cost: number, { askedAt, retryAfterMs }: Answer, now: number): void {
    const comesAt = askedAt + retryAfterMs;
    held.refused = { cost, until: Math.min(comesAt, askedAt + this.#options.ttlMs), comesAt };
    const state = this.#state(held, false, Math.max(0, comesAt - now), now, undefined);
    held.waiting = held.waiting.filter((each) => {
      if (each.cost < cost) return true;
      each.resolve(state);
      return false;
    });
  }

  /** What can no longer be used goes back, where that helps anybody. */
  #dropSpent(held: Held, now: number): void {
    held.leases = held.leases.filter((lease) => {
      if (lease.usable(now) > 0) return true;
      if (lease.left > 0) this.#giveBack(held.name, held.limit, lease.left, lease.stamp, lease.span);
      return false;
    });
  }

  #letGo(held: Held): void {
    for (const { left, stamp, span } of held.leases.splice(0)) {
      if (left > 0) this.#giveBack(held.name, held.limit, left, stamp, span);
    }
  }

  #giveBack(name: string, limit: Limit, permits: number, stamp: number, leaseSpan?: number): void {
    const given: Promise<unknown> = this.#counts
      .giveBack(name, limit, permits, stamp, leaseSpan)
      .then(() => this.#givingBack.delete(given));
    this.#givingBack.add(given);
  }

  /** Looks at a few of the oldest; those that hold permits stay as long as there are others. */
  #forgetOne(): void {
    let looked = 0;
    let oldest: Held | undefined;
    for (const [name, held] of this.#keys) {
      if (looked++ === MAX_LOOKED_AT) break;
      if (held.asking) continue;
      oldest ??= held;
      if (held.leases.length > 0) continue;
      this.#keys.delete(name);
      return;
    }
    if (oldest === undefined) return;
    this.#letGo(oldest);
    this.#keys.delete(oldest.name);
  }

  #sweepLater(): () => void {
    return this.#clock.after(
      this.#options.ttlMs,
      () => {
        const now = this.#clock.now();
        for (const [name, held] of this.#keys) {
          this.#dropSpent(held, now);
          const idle = now - held.askedAt >= this.#options.ttlMs && held.leases.length === 0;
          if (idle && !held.asking) this.#keys.delete(name);
        }
        this.#stopSweep = this.#keys.size > 0 ? this.#sweepLater() : undefined;
      },
      { background: true },
    );
  }
}
