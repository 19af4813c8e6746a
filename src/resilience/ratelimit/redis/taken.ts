import type { LimitState } from '../../../core/limits.js';
import type { Limit } from '../../../core/model/limit.js';

/** What a take said, and what giving back needs to know of it. */
export class Taken implements LimitState {
  constructor(
    readonly allowed: boolean,
    readonly limit: number,
    readonly remaining: number,
    readonly resetMs: number,
    readonly retryAfterMs: number,
    /** Which window, or when, by Redis's clock. */
    readonly stamp: number,
  ) {}
}

/** The most that is let through at once: of a token bucket its burst, as Envoy's `x-ratelimit-limit` has it. */
export const mostOf = (limit: Limit): number => {
  if (limit.algorithm !== 'token_bucket') return limit.requests;
  return limit.requests === 0 ? 0 : limit.burst;
};
