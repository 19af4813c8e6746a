import { DEFAULT_RETRY, type ForwardAction, type HedgeConfig } from '../core/model/route.js';
import { type Filter, stack } from '../core/service.js';
import { attemptTimeout } from '../resilience/deadline/attempt-timeout.js';
import type { HedgeEnv } from '../resilience/hedge/env.js';
import { hedge } from '../resilience/hedge/hedge.js';
import { Latencies } from '../resilience/hedge/latencies.js';
import type { RetryEnv } from '../resilience/retry/attempt.js';
import { RetryBudget } from '../resilience/retry/budget.js';
import { judgement } from '../resilience/retry/judgement.js';
import type { Upstream } from './endpoints/upstream.js';
import type { ClientEnv } from './env.js';

/** How long an extra attempt counts, in milliseconds; as the retry budget. */
const EXTRA_TTL_MS = 10_000;

/** By cluster: all routes to it learn from each other, and an update keeps what is known. */
const latencies = new WeakMap<Upstream, Latencies>();

/** What attempts beside others may add to the load: one account for all hedged calls of a route to a cluster, whatever policy each brings along. */
export class ExtraLoad {
  readonly #account: RetryBudget;

  constructor({ clock }: Pick<ClientEnv, 'clock'>) {
    this.#account = new RetryBudget({ retryRatio: 0, minRetriesPerSecond: 0, ttlMs: EXTRA_TTL_MS }, clock);
  }

  /** For calls of which each pays this share of an attempt in. */
  share(share: number): HedgeEnv['extra'] {
    const account = this.#account;
    return {
      deposit: () => account.deposit(share),
      tryWithdraw: () => account.tryWithdraw(),
      refund: (at) => account.refund(at),
      get balance() {
        return account.balance;
      },
    };
  }
}

/** Hedging in the place of retries; `retries` for the calls that may not be sent twice. `own.hedge`: the call asks for it, which is for what is idempotent. */
export function hedged(
  config: HedgeConfig,
  action: ForwardAction,
  cluster: Upstream,
  own: { readonly extra: ExtraLoad; readonly hedge: boolean },
  env: ClientEnv,
  retryEnv: RetryEnv,
  retries: Filter,
): Filter {
  const { clock, deadlines, meter } = env;
  const policy = action.retry ?? DEFAULT_RETRY;
  const timeout = config.onPerTryTimeout ? attemptTimeout(policy.perTryTimeoutMs, env) : undefined;
  const known = latencies.get(cluster) ?? new Latencies(clock);
  latencies.set(cluster, known);
  return hedge(
    config,
    {
      clock,
      deadlines,
      meter,
      cluster: cluster.statName,
      // Read through the cluster: an update may replace it.
      get budget() {
        return cluster.budget;
      },
      extra: own.extra.share(config.maxExtraLoad),
      limits: retryEnv.limits,
      others: (tried, call) => cluster.others(tried, call),
      hold: (call) => cluster.hold(call),
      verdicts: judgement(own.hedge ? { ...policy, regardlessOfMethod: false } : policy, retryEnv),
      latencies: known,
      perTryTimeoutMs: policy.perTryTimeoutMs,
    },
    // The attempts of a hedged call are not cut off by this limit, those of all others are.
    timeout === undefined ? retries : (next) => stack([retries, timeout], next),
  );
}
