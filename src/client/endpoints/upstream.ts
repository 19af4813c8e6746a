import type { Service } from '../../core/service.js';

/** What a route sends calls to: a cluster, or an aggregate of some. */
export interface Upstream {
  /** Name for statistics and logs. */
  readonly statName: string;
  /** Retries under way at once. */
  readonly limits: { tryRetry(): boolean; retryDone(): void };
  /** Shared by all calls to it; an update may replace it. */
  readonly budget: { deposit(): void; tryWithdraw(): boolean };
  /** One attempt. An update may replace it: look it up for each. */
  readonly service: Service;
}
