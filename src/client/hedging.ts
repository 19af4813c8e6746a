import { DEFAULT_RETRY, type ForwardAction, type HedgeConfig } from '../core/model/route.js';
import { type Filter, stack } from '../core/service.js';
import { attemptTimeout } from '../resilience/deadline/attempt-timeout.js';
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

/** Hedging in the place of retries; `retries` for the calls that may not be sent twice. */
export function hedged(
  config: HedgeConfig,
  action: ForwardAction,
  cluster: Upstream,
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
      budget: retryEnv.budget,
      extra: new RetryBudget({ retryRatio: config.maxExtraLoad, minRetriesPerSecond: 0, ttlMs: EXTRA_TTL_MS }, clock),
      limits: retryEnv.limits,
      others: (tried, call) => cluster.others(tried, call),
      hold: (call) => cluster.hold(call),
      verdicts: judgement(policy, retryEnv),
      latencies: known,
      perTryTimeoutMs: policy.perTryTimeoutMs,
    },
    // The attempts of a hedged call are not cut off by this limit, those of all others are.
    timeout === undefined ? retries : (next) => stack([retries, timeout], next),
  );
}
