import type { Call } from '../../core/call.js';
import type { HedgeEnv } from './env.js';

/** What an attempt was withdrawn from; `beside` another one that was slow. */
export interface Payment {
  readonly beside: boolean;
}

/** The attempt was refused by ourselves, and loaded nobody. */
export function refund(env: HedgeEnv, { beside }: Payment): void {
  if (env.limits.budgeted !== true) env.budget.refund();
  if (beside) env.extra.refund();
}

/**
 * Whether limits and budgets allow one more attempt; takes one of the cluster's places for retries when they do. `reason`: it follows one that has failed
 * for this, else it goes beside one that is slow.
 */
export function permitted(env: HedgeEnv, call: Call, reason: string | undefined): boolean {
  if (!env.limits.tryRetry(call.priority)) {
    if (reason !== undefined) call.record.raise('UO');
    return false;
  }
  // What has failed is no load any more: only attempts beside another one are extra. Both pay, or none.
  const extra = reason !== undefined || env.extra.balance >= 1;
  if (extra && (env.limits.budgeted === true || env.budget.tryWithdraw())) {
    if (reason === undefined) env.extra.tryWithdraw();
    return true;
  }
  env.limits.retryDone(call.priority);
  if (extra) {
    if (reason !== undefined) call.record.raise('MB');
    env.meter.event({ kind: 'retry:budget-spent', cluster: env.cluster });
  }
  return false;
}
