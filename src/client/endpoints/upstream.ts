import type { Service } from '../../core/service.js';

/** What a route sends calls to: a cluster, or an aggregate of some. */
export interface Upstream {
  /** Name for statistics and logs. */
  readonly statName: string;
  /** Retries under way at once. `budgeted`: by a budget of their own, in place of `budget`. */
  readonly limits: { tryRetry(): boolean; retryDone(): void; readonly budgeted: boolean };
  /** Shared by all calls to it; an update may replace it. */
  readonly budget: { deposit(): void; tryWithdraw(): boolean };
  /** Whether it has an endpoint that can serve, and whose key is not among these. */
  others(tried: readonly string[]): boolean;
  /** One attempt. An update may replace it: look it up for each. */
  readonly service: Service;
}
