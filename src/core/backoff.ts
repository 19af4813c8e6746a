import type { Random } from './random.js';

export interface Backoff {
  /** Wait before the first repetition, in milliseconds. */
  readonly baseMs: number;
  /** No wait is longer, in milliseconds. */
  readonly maxMs: number;
  /** Each wait is this many times the one before. Default 2. */
  readonly multiplier?: number;
}

/** min(max, base × multiplier^(n-1)) for the n-th repetition, n from 1. */
export function backoffCeiling(backoff: Backoff, repetition: number): number {
  return Math.min(backoff.maxMs, backoff.baseMs * (backoff.multiplier ?? 2) ** (repetition - 1));
}

/** Full jitter: anything from 0 to the ceiling. "the delay is a random number between 0 and (2^N - 1) × base" - Envoy, x-envoy-max-retries. */
export function fullJitter(backoff: Backoff, repetition: number, random: Random): number {
  return random.next() * backoffCeiling(backoff, repetition);
}

/** Connection backoff: the ceiling ± `spread`, 0.2 by grpc/doc/connection-backoff.md. */
export function spreadJitter(backoff: Backoff, repetition: number, random: Random, spread = 0.2): number {
  return backoffCeiling(backoff, repetition) * (1 - spread + 2 * spread * random.next());
}
