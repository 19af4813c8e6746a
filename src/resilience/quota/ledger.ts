import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import type { Use, UseSink } from '../../core/limits.js';
import type { Meter } from '../../core/meter.js';
import type { Limit } from '../../core/model/limit.js';
import { UsageSnapshot } from './snapshot.js';

/** A stretch of the calendar, in milliseconds since the epoch. */
export interface UsageWindow {
  readonly start: number;
  readonly end: number;
}

export interface LedgerOptions {
  readonly clock: Pick<Clock, 'wallTime'>;
  readonly meter: Pick<Meter, 'event'>;
  /** The window that a use counts in: that of a calendar's limit, else of the day in UTC. */
  readonly window: (limit: Limit | undefined, wallTime: number) => UsageWindow;
  /** Accounts at most, one per key, rule, plan and window; from 1. Default 100_000. */
  readonly maxAccounts?: number | undefined;
}

export const DEFAULT_MAX_ACCOUNTS = 100_000;
/** Plans that metrics tell apart; those beyond are `other` there. */
const MAX_PLANS = 100;

/** Longer values of a key are cut, and end in their hash: what a caller writes in a header is not kept by the kilobyte. */
const LONGEST_VALUE = 256;

/** What one key used of one rule in one window. */
export class Account {
  requests = 0;
  units = 0;

  constructor(
    readonly rule: string,
    readonly plan: string | undefined,
    /** By the names of the key's entries; undefined: of keys that there was no room for. */
    readonly key: Readonly<Record<string, string>> | undefined,
    readonly window: UsageWindow,
  ) {}
}

/**
 * Who used how much of which plan: what was let through, by key and window, for billing and for people. It counts what this process let through; the sums of
 * a fleet are those of its processes. When there are too many accounts, those of the windows that ended first go; while none has ended, the uses of further
 * keys are counted together, so that sums stay right.
 */
export class UsageLedger implements UseSink {
  readonly #accounts = new Map<string, Account>();
  readonly #plans = new Set<string>();
  readonly #maxAccounts: number;
  /** Accounts that are gone. */
  #dropped = 0;
  /** No window of an account ends before, so that nobody looks for one: milliseconds since the epoch. */
  #nextEnd = Number.POSITIVE_INFINITY;

  constructor(private readonly options: LedgerOptions) {
    this.#maxAccounts = options.maxAccounts ?? DEFAULT_MAX_ACCOUNTS;
  }

  used(use: Use): void {
    const wallTime = this.options.clock.wallTime();
    const window = this.options.window(use.limit, wallTime);
    const account = this.#account(use, window, wallTime);
    account.requests++;
    account.units += use.cost;
    if (use.plan !== undefined) {
      this.options.meter.event({ kind: 'quota:used', plan: this.#planLabel(use.plan), units: use.cost });
    }
  }

  snapshot(): UsageSnapshot {
    const accounts = [...this.#accounts].map(([id, { rule, plan, key, window, requests, units }]) => {
      const [start, end] = [window.start, window.end].map((time) => new Date(time).toISOString()) as [string, string];
      return { id, rule, plan, key, start, end, requests, units };
    });
    return new UsageSnapshot(new Date(this.options.clock.wallTime()).toISOString(), accounts, this.#dropped);
  }

  #account(use: Use, window: UsageWindow, wallTime: number): Account {
    const values = use.key.map(shortened);
    const id = JSON.stringify([use.rule, use.plan, values, window.end]);
    const known = this.#accounts.get(id);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#maxAccounts && !this.#makeRoom(wallTime)) {
      const others = JSON.stringify([use.rule, use.plan, null, window.end]);
      return this.#accounts.get(others) ?? this.#open(others, new Account(use.rule, use.plan, undefined, window));
    }
    const key: Record<string, string> = Object.create(null);
    for (const [i, name] of use.names.entries()) {
      const value = values[i];
      if (value !== undefined) key[name] = value;
    }
    return this.#open(id, new Account(use.rule, use.plan, key, window));
  }

  #open(id: string, account: Account): Account {
    this.#accounts.set(id, account);
    this.#nextEnd = Math.min(this.#nextEnd, account.window.end);
    return account;
  }

  /** Drops the accounts of windows that have ended, an eighth of all at most, the oldest first. Whether there were any. */
  #makeRoom(wallTime: number): boolean {
    if (wallTime < this.#nextEnd) return false;
    const ended = [...this.#accounts].filter(([, { window }]) => window.end <= wallTime);
    ended.sort(([, a], [, b]) => a.window.end - b.window.end);
    const dropped = ended.slice(0, Math.max(1, Math.ceil(this.#maxAccounts / 8)));
    for (const [id] of dropped) this.#accounts.delete(id);
    this.#dropped += dropped.length;
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const { window } of this.#accounts.values()) this.#nextEnd = Math.min(this.#nextEnd, window.end);
    return dropped.length > 0;
  }

  #planLabel(plan: string): string {
    if (this.#plans.has(plan)) return plan;
    if (this.#plans.size >= MAX_PLANS) return 'other';
    this.#plans.add(plan);
    return plan;
  }
}

function shortened(value: string | undefined): string | undefined {
  if (value === undefined || value.length <= LONGEST_VALUE) return value;
  const hash = createHash('sha256').update(value).digest('base64url');
  return `${value.slice(0, LONGEST_VALUE - hash.length - 1)}#${hash}`;
}
