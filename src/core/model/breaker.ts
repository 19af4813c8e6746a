/**
 * The breaker of a whole destination: while it is open calls fail at once, or take the fallback; after a penalty a few probe, and close it or open it for
 * twice as long. Trips by whichever is configured first. Numbers of Linkerd's and Finagle's failure accrual (defaults.md).
 */
export interface BreakerConfig {
  /** Failures in a row; undefined: not counted. Default 7 (Linkerd). */
  readonly consecutiveFailures: number | undefined;
  /** Undefined: not looked at. Default: below 0.8 over 10 s with at least 5 calls, in 10 buckets (Linkerd). */
  readonly successRate:
    | { readonly threshold: number; readonly windowMs: number; readonly minRequests: number; readonly buckets: number }
    | undefined;
  /** How long it stays open at first and at most, in milliseconds; doubles with each failed probe. Defaults 1_000 and 60_000. */
  readonly basePenaltyMs: number;
  readonly maxPenaltyMs: number;
  /** Share of the penalty that is added at random, in [0, 1]. Default 0.5. */
  readonly jitter: number;
  /** Real calls let through at once when the penalty is over; all must succeed. Default 1. */
  readonly probes: number;
}

export const DEFAULT_BREAKER: BreakerConfig = {
  consecutiveFailures: 7,
  successRate: { threshold: 0.8, windowMs: 10_000, minRequests: 5, buckets: 10 },
  basePenaltyMs: 1_000,
  maxPenaltyMs: 60_000,
  jitter: 0.5,
  probes: 1,
};
