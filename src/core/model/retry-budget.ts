/** Gateway API `retryConstraint` (GEP-3388), Finagle's RetryBudget: 20 % of requests plus 10 a second, over 10 s. */
export interface RetryBudgetConfig {
  /** Share of requests that may be retried, as a ratio. Default 0.2. */
  readonly retryRatio: number;
  /** Retries per second allowed without any request. Default 10. */
  readonly minRetriesPerSecond: number;
  /** How long a request counts, in milliseconds. Default 10_000. */
  readonly ttlMs: number;
}

export const DEFAULT_RETRY_BUDGET: RetryBudgetConfig = { retryRatio: 0.2, minRetriesPerSecond: 10, ttlMs: 10_000 };
