/** What one key used of one rule in one window. */
export interface UsageAccount {
  /** Names the account: the same in every snapshot. */
  readonly id: string;
  readonly rule: string;
  readonly plan: string | undefined;
  /** By the names of the key's entries; undefined: of all keys that there was no room for. */
  readonly key: Readonly<Record<string, string>> | undefined;
  /** The window, as ISO 8601; the end is the start of the next. */
  readonly start: string;
  readonly end: string;
  readonly requests: number;
  /** Sum of what the requests counted. */
  readonly units: number;
}

/** The ledger at one moment, as plain values: `JSON.stringify` exports it. */
export class UsageSnapshot {
  constructor(
    /** ISO 8601. */
    readonly at: string,
    readonly accounts: readonly UsageAccount[],
    /** Accounts of windows that have ended which were dropped for want of room. */
    readonly dropped: number,
  ) {}

  /** What was used after `before` was taken; accounts without a use since then are left out. */
  since(before: UsageSnapshot): UsageSnapshot {
    const known = new Map(before.accounts.map((account) => [account.id, account]));
    const accounts = this.accounts.flatMap((account) => {
      const old = known.get(account.id);
      if (old === undefined || old.requests > account.requests) return [account];
      const requests = account.requests - old.requests;
      return requests === 0 ? [] : [{ ...account, requests, units: account.units - old.units }];
    });
    return new UsageSnapshot(this.at, accounts, this.dropped - before.dropped);
  }
}
