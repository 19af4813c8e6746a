/** Envoy `CircuitBreakers.Thresholds`; defaults 1024, 1024, 1024, 3. */
export interface CircuitLimitsConfig {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  /** Retries under way at once; undefined: the retry budget decides alone, as `retry_budget` does in Envoy. */
  readonly maxRetries: number | undefined;
  /**
   * Envoy's `retry_budget`: retries under way are at most this share of the calls under way and waiting, and `minConcurrency` in any case. Where it is set,
   * `maxRetries` and `ClusterConfig.retryBudget` do not count. Shares in [0, 1]; Envoy's defaults 0.2 and 3. Absent: those two decide.
   */
  readonly activeRetryBudget?: { readonly share: number; readonly minConcurrency: number } | undefined;
  /** Limits of calls with priority `high`, counted apart (Envoy's thresholds for `HIGH`). Absent: they share those of the others, where Envoy has 1024 each. */
  readonly high?: PriorityLimits | undefined;
  /** What calls with priority `batch` may have of `maxRequests` and `maxPendingRequests`, in [0, 1]. Default 0.1 (Netflix concurrency-limits). */
  readonly batchShare?: number | undefined;
}

/** `CircuitBreakers.Thresholds` of one priority. */
export interface PriorityLimits {
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number | undefined;
}

export const DEFAULT_CIRCUIT_LIMITS: CircuitLimitsConfig = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: undefined,
};
