import type { Locality } from '../../core/model/endpoint.js';
import { LocalityAccount, type LocalityCounts } from './locality-account.js';

/** What one cluster did in one interval. */
export interface ClusterCounts {
  readonly cluster: string;
  readonly service: string | undefined;
  /** Monotonic milliseconds: the interval. */
  readonly since: number;
  readonly until: number;
  /** Those that did anything. */
  readonly localities: readonly LocalityCounts[];
  /** By category. */
  readonly drops: ReadonlyMap<string, number>;
  /** Drops without a category: circuit breaking. In the total only. */
  readonly uncategorized: number;
}

/** Categories are the control plane's choice: so many are kept apart in one interval, and further drops are in the total only. */
export const MAX_DROP_CATEGORIES = 1_000;

/** Counts the calls of one cluster, by locality, and those that it dropped, since the last report. */
export class ClusterAccount {
  /** Those who have it, and may count at any time. Written by `ServerLoads`. */
  holders = 0;
  /** Monotonic milliseconds at which the last holder gave it back. Written by `ServerLoads`. */
  unheldSince: number;
  /** False once it has left its server's loads. Written by `ServerLoads`, and only when nothing is under way. */
  listed = true;
  #since: number;
  /** Those that have done anything since the last report but one: an account goes when it has been idle for a whole interval. */
  readonly #localities = new Map<string, LocalityAccount>();
  #drops = new Map<string, number>();
  #uncategorized = 0;

  constructor(
    readonly cluster: string,
    readonly service: string | undefined,
    now: number,
  ) {
    this.#since = now;
    this.unheldSince = now;
  }

  get underWay(): boolean {
    for (const account of this.#localities.values()) if (account.inProgress > 0) return true;
    return false;
  }

  /** Nothing is under way, and there is nothing to report. */
  get idle(): boolean {
    if (this.#drops.size > 0 || this.#uncategorized > 0) return false;
    for (const account of this.#localities.values()) if (!account.idle) return false;
    return true;
  }

  locality(locality: Locality): LocalityAccount {
    const key = JSON.stringify([locality.region, locality.zone, locality.subZone]);
    let account = this.#localities.get(key);
    if (account === undefined) {
      account = new LocalityAccount(locality);
      this.#localities.set(key, account);
    }
    return account;
  }

  dropped(category: string | undefined, calls = 1): void {
    const known = category !== undefined && (this.#drops.has(category) || this.#drops.size < MAX_DROP_CATEGORIES);
    if (known) this.#drops.set(category, (this.#drops.get(category) ?? 0) + calls);
    else this.#uncategorized += calls;
  }

  /** Everything since the last time, which is the account's no longer. */
  take(now: number): ClusterCounts {
    const localities: LocalityCounts[] = [];
    for (const [key, account] of this.#localities) {
      if (!account.idle) localities.push(account.take());
      else {
        account.listed = false;
        this.#localities.delete(key);
      }
    }
    const { cluster, service } = this;
    const counts = { cluster, service, since: this.#since, until: now, localities, drops: this.#drops };
    const taken = { ...counts, uncategorized: this.#uncategorized };
    this.#drops = new Map();
    this.#uncategorized = 0;
    this.#since = now;
    return taken;
  }

  /** Counts again what was taken and could not be sent; the interval begins where it did. */
  putBack(counts: ClusterCounts): void {
    this.#since = Math.min(this.#since, counts.since);
    for (const locality of counts.localities) this.locality(locality.locality).putBack(locality);
    for (const [category, calls] of counts.drops) this.dropped(category, calls);
    this.#uncategorized += counts.uncategorized;
  }

  /** Leaves for good: whoever counts here afterwards finds out by `listed`. */
  delist(): void {
    this.listed = false;
    for (const account of this.#localities.values()) account.listed = false;
  }
}
