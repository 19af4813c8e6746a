import type { Clock } from '../../core/clock.js';
import { ClusterAccount, type ClusterCounts } from './cluster-account.js';

/** Accounts that nobody holds any more and that could not be reported yet: of more than so many the oldest are given up. */
export const MAX_UNHELD = 1_000;
/** How long they are kept for a server that cannot be reached, in milliseconds. */
export const UNHELD_KEPT_MS = 300_000;

/**
 * The accounts that one server gets reports of. An account stays while somebody holds it, a call is under way or something is left to
 * report, and then it goes.
 */
export class ServerLoads {
  readonly #accounts = new Map<string, ClusterAccount>();
  /** Those without a holder, the oldest first. */
  readonly #unheld = new Set<ClusterAccount>();

  constructor(
    /** `serverKey` of the server. */
    readonly server: string,
    private readonly clock: Clock,
    /** Called when the first account comes and when the last one has gone. */
    private readonly changed: (loads: ServerLoads) => void,
  ) {}

  /** Somebody has to be told of something, or may have to be. */
  get needed(): boolean {
    return this.#accounts.size > 0;
  }

  /** Accounts that are kept. */
  get size(): number {
    return this.#accounts.size;
  }

  account(cluster: string, service: string | undefined): ClusterAccount {
    const key = accountKey(cluster, service);
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    const account = new ClusterAccount(cluster, service, this.clock.now());
    this.#accounts.set(key, account);
    this.#unheld.add(account);
    this.#limit(account);
    if (this.#accounts.size === 1) this.changed(this);
    return account;
  }

  hold(cluster: string, service: string | undefined): ClusterAccount {
    const account = this.account(cluster, service);
    account.holders++;
    this.#unheld.delete(account);
    return account;
  }

  release(account: ClusterAccount): void {
    account.holders--;
    if (account.holders > 0) return;
    account.unheldSince = this.clock.now();
    this.#unheld.add(account);
    if (account.idle) this.#remove(account);
    else this.#limit(account);
  }

  /**
   * What is to be reported. Of clusters that the server does not want "we still need to clear out the data", so that it is in no later
   * report (C-core, lrs_client.cc; Envoy, lrs.proto: "New clusters are not subject to this consideration").
   */
  take(wanted: (cluster: string) => boolean): ClusterCounts[] {
    const now = this.clock.now();
    const taken: ClusterCounts[] = [];
    for (const account of [...this.#accounts.values()]) {
      const counts = account.take(now);
      if (wanted(account.cluster)) taken.push(counts);
      if (account.holders === 0 && account.idle) this.#remove(account);
    }
    return taken;
  }

  putBack(taken: readonly ClusterCounts[]): void {
    for (const counts of taken) {
      const account = this.account(counts.cluster, counts.service);
      account.putBack(counts);
      if (account.holders === 0 && account.idle) this.#remove(account);
    }
  }

  /** Gives up what nobody has held for long and could not be reported. */
  expire(): void {
    const oldest = this.clock.now() - UNHELD_KEPT_MS;
    for (const account of [...this.#unheld]) {
      if (account.unheldSince <= oldest && !account.underWay) this.#remove(account);
    }
  }

  #limit(newest: ClusterAccount): void {
    if (this.#unheld.size <= MAX_UNHELD) return;
    for (const account of this.#unheld) {
      if (account === newest || account.underWay) continue;
      this.#remove(account);
      return;
    }
  }

  #remove(account: ClusterAccount): void {
    this.#accounts.delete(accountKey(account.cluster, account.service));
    this.#unheld.delete(account);
    account.delist();
    if (this.#accounts.size === 0) this.changed(this);
  }
}

const accountKey = (cluster: string, service: string | undefined): string => JSON.stringify([cluster, service]);
