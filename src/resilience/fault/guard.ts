import type { FaultGuard } from '../../core/model/fault.js';
import { RollingCounts } from './rolling.js';

/**
 * Says when an experiment has gone too far. A percentile needs no histogram: the nearest rank of so many durations is above a bound exactly when fewer than
 * that many are within it, so that both kinds of guard count good requests among all.
 */
export class Guard {
  readonly #counts: RollingCounts;

  constructor(readonly config: FaultGuard) {
    this.#counts = new RollingCounts(config.windowMs);
  }

  /** A request has ended. True: the guard is crossed. */
  ended(success: boolean, durationMs: number, now: number): boolean {
    const { config } = this;
    const good = config.kind === 'success-rate' ? success : durationMs <= config.maxMs;
    this.#counts.add(good, now);
    const counted = this.#counts.totals(now);
    if (counted.total < config.minRequests) return false;
    // The hair keeps nine tenths of 10 from being more than 9.
    return config.kind === 'success-rate'
      ? counted.good < config.min * counted.total - HAIR
      : counted.good < Math.ceil(config.percentile * counted.total - HAIR);
  }

  /** How things stand, for people, where it is crossed. */
  found(now: number): string {
    const { config } = this;
    const { good, total } = this.#counts.totals(now);
    return config.kind === 'success-rate'
      ? `success-rate ${Math.floor((good / total) * 10_000) / 10_000} below ${config.min}`
      : `latency, ${good} of ${total} within ${config.maxMs} ms where ${config.percentile} must be`;
  }
}

const HAIR = 1e-9;
