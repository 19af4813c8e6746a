import type { Call } from '../../core/call.js';
import type { Allowance, HedgeEnv } from './env.js';

/** What an attempt was withdrawn from, and when; of `extra` if it goes beside another one that was slow. */
export interface Payment {
  readonly at: number;
  readonly budget: Allowance | undefined;
  readonly extra: Allowance | undefined;
}

/** The attempt was refused by ourselves, and loaded nobody. */
export function refund({ at, budget, extra }: Payment): void {
  budget?.refund(at);
  extra?.refund(at);
}

/**
 * What one more attempt is paid with, when limits and budgets allow it; takes one of the cluster's places for retries then. `reason`: it follows one that
 * has failed for this, else it goes beside one that is slow.
 */
export function permit(env: HedgeEnv, call: Call, reason: string | undefined): Payment | undefined {
  if (!env.limits.tryRetry(call.priority)) {
    if (reason !== undefined) call.record.raise('UO');
    return undefined;
  }
  // What has failed is no load any more: only attempts beside another one are extra. Both pay, or none.
  const affordable = reason !== undefined || env.extra.balance >= 1;
  const budget = env.limits.budgeted === true ? undefined : env.budget;
  if (affordable && (budget === undefined || budget.tryWithdraw())) {
    const extra = reason === undefined ? env.extra : undefined;
    extra?.tryWithdraw();
    return { at: env.clock.now(), budget, extra };
  }
  env.limits.retryDone(call.priority);
  if (affordable) {
    if (reason !== undefined) call.record.raise('MB');
    env.meter.event({ kind: 'retry:budget-spent', cluster: env.cluster });
  }
  return undefined;
}
