import type { Random } from '../../core/random.js';
import type { Limit } from './limit.js';

/** Envoy's `adaptive_concurrency` filter, `gradient_controller_config`. */
export interface GradientControllerOptions {
  /** `sample_aggregate_percentile`, as a share: which of the times of a window stands for it. Default 0.5. */
  readonly percentile?: number;
  /** `concurrency_limit_params.max_concurrency_limit`. Default 1_000. */
  readonly maxLimit?: number;
  /** `concurrency_limit_params.concurrency_update_interval`: milliseconds, from 1. */
  readonly updateIntervalMs: number;
  /** `min_rtt_calc_params.interval`: milliseconds from one measurement of the time without load to the next. */
  readonly minRttIntervalMs: number;
  /** `min_rtt_calc_params.request_count`: requests measured for it. Default 50. */
  readonly minRttRequests?: number;
  /** `min_rtt_calc_params.min_concurrency`: the limit meanwhile, and the lowest that there is. Default 3. */
  readonly minConcurrency?: number;
  /** `min_rtt_calc_params.jitter`: up to this share more between measurements, 0 to 1. Default 0.15. */
  readonly jitter?: number;
  /** `min_rtt_calc_params.buffer`: how much longer than without load requests may take, as a share. Default 0.25. */
  readonly buffer?: number;
  /** `min_rtt_calc_params.fixed_value`: the time without load, in milliseconds, which then is not measured. Default: it is. */
  readonly fixedMinRttMs?: number | undefined;
}

/** Envoy, gradient_controller.cc and adaptive_concurrency.proto. */
export const DEFAULT_PERCENTILE = 0.5;
export const DEFAULT_MAX_LIMIT = 1_000;
export const DEFAULT_MIN_RTT_REQUESTS = 50;
export const DEFAULT_MIN_CONCURRENCY = 3;
export const DEFAULT_JITTER = 0.15;
export const DEFAULT_BUFFER = 0.25;

/** "the 5th consecutive sample window" at the minimum: the time without load was perhaps measured wrongly. */
const WINDOWS_AT_MINIMUM = 5;
/** Of a window's times so many are kept, each with the same chance: a percentile needs no more. */
const KEPT = 1_024;

/**
 * Envoy's gradient controller: now and then hardly anybody is let in, to measure how long requests take without load; in between the limit follows how
 * much longer they take with it. Its two timers are looked at when a request comes or ends.
 */
export class GradientController implements Limit {
  readonly #options: Required<Omit<GradientControllerOptions, 'fixedMinRttMs'>>;
  readonly #fixedMinRttMs: number | undefined;
  #limit: number;
  #minRttMs = 0;
  /** The limit to go back to; undefined: the time without load is not being measured. */
  #deferred: number | undefined;
  /** Monotonic milliseconds: the beginning of the last measurement. Undefined: no request has come yet. */
  #epoch: number | undefined;
  #nextMinRttAt = 0;
  #nextUpdateAt = 0;
  #atMinimum = 0;
  /** Times of this window, and how many there were. */
  #timesMs: number[] = [];
  #seen = 0;

  constructor(
    { fixedMinRttMs, ...options }: GradientControllerOptions,
    private readonly random: Random,
  ) {
    this.#fixedMinRttMs = fixedMinRttMs;
    this.#options = {
      percentile: DEFAULT_PERCENTILE,
      maxLimit: DEFAULT_MAX_LIMIT,
      minRttRequests: DEFAULT_MIN_RTT_REQUESTS,
      minConcurrency: DEFAULT_MIN_CONCURRENCY,
      jitter: DEFAULT_JITTER,
      buffer: DEFAULT_BUFFER,
      ...options,
    };
    this.#limit = this.#options.minConcurrency;
  }

  at(now: number): number {
    this.#advance(now);
    return this.#limit;
  }

  sample(startedAt: number, rttMs: number, _inFlight = 1, dropped = false): void {
    const now = startedAt + rttMs;
    this.#advance(now);
    // How long who left has waited is no time of a request (`cancelLatencySample`).
    if (dropped) return;
    // "Disregard samples from requests started in the previous minRTT window."
    if (startedAt < (this.#epoch as number)) return;
    this.#keep(rttMs);
    if (this.#deferred !== undefined && this.#seen >= this.#options.minRttRequests) this.#measured(now);
  }

  #advance(now: number): void {
    if (this.#epoch === undefined) this.#begin(now);
    if (this.#deferred !== undefined) return;
    if (now >= this.#nextUpdateAt) {
      this.#nextUpdateAt = now + this.#options.updateIntervalMs;
      if (this.#seen > 0) this.#set(this.#next());
    }
    if (this.#fixedMinRttMs !== undefined) return;
    if (now >= this.#nextMinRttAt || this.#atMinimum >= WINDOWS_AT_MINIMUM) this.#measure(now);
  }

  #begin(now: number): void {
    if (this.#fixedMinRttMs === undefined) return this.#measure(now);
    this.#minRttMs = this.#fixedMinRttMs;
    this.#epoch = now;
    this.#nextUpdateAt = now + this.#options.updateIntervalMs;
  }

  #measure(now: number): void {
    this.#deferred = this.#limit;
    this.#set(this.#options.minConcurrency);
    this.#forget();
    this.#epoch = now;
  }

  #measured(now: number): void {
    const { minRttIntervalMs, updateIntervalMs, jitter } = this.#options;
    this.#minRttMs = this.#takePercentile();
    this.#set(this.#deferred as number);
    this.#deferred = undefined;
    this.#nextMinRttAt = now + minRttIntervalMs * (1 + jitter * this.random.next());
    this.#nextUpdateAt = now + updateIntervalMs;
  }

  #next(): number {
    const { buffer, minConcurrency, maxLimit } = this.#options;
    const sampleMs = this.#takePercentile();
    const gradient = sampleMs === 0 ? 2 : Math.max(0.5, Math.min(2, (this.#minRttMs * (1 + buffer)) / sampleMs));
    const limit = this.#limit * gradient;
    return Math.max(minConcurrency, Math.min(maxLimit, Math.floor(limit + Math.sqrt(limit))));
  }

  #set(limit: number): void {
    const { minConcurrency } = this.#options;
    const stays = this.#deferred === undefined && this.#limit === minConcurrency && limit === minConcurrency;
    this.#atMinimum = stays ? this.#atMinimum + 1 : 0;
    this.#limit = limit;
  }

  #keep(rttMs: number): void {
    this.#seen++;
    if (this.#timesMs.length < KEPT) this.#timesMs.push(rttMs);
    else {
      const place = this.random.int(this.#seen);
      if (place < KEPT) this.#timesMs[place] = rttMs;
    }
  }

  /** The one that this share of the times does not exceed. */
  #takePercentile(): number {
    const sorted = this.#timesMs.sort((a, b) => a - b);
    const value = sorted[Math.max(0, Math.ceil(this.#options.percentile * sorted.length) - 1)] as number;
    this.#forget();
    return value;
  }

  #forget(): void {
    this.#timesMs = [];
    this.#seen = 0;
  }
}
