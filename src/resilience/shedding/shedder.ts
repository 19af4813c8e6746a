import type { Priority } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Limit } from './limit.js';
import { LoopLag } from './loop-lag.js';

/** Share of the limit that requests of a priority may have however many others there are; of what is free they may have all. */
export type Shares = Readonly<Record<Priority, number>>;

/** What a request is refused for. */
export type ShedReason = 'concurrency' | 'event-loop';

/**
 * How a request ended. `failed`: how long that took tells of no queue, as when a backend is down and all fail at once (Netflix concurrency-limits `onIgnore`: "to
 * not introduce an artificially low RTT"). `left`: its caller went away before it was served, or something took too long (`onDropped`).
 */
export type Ended = 'served' | 'failed' | 'left';

export interface ShedderConfig {
  /** Undefined: all requests are alike, as for Envoy's `adaptive_concurrency`. */
  readonly shares: Shares | undefined;
  /** Milliseconds that the event loop may be late for requests of priority `default`; Infinity: it is not watched. */
  readonly maxLagMs: number;
}

/** Concurrency-limits' README: `live` 0.9, `batch` 0.1; a third of what is live is kept for `high`. */
export const DEFAULT_SHARES: Shares = { high: 0.3, default: 0.6, batch: 0.1 };
/** toobusy-js `STANDARD_HIGHWATER`, in milliseconds. */
export const DEFAULT_MAX_LAG_MS = 70;
/** Of that, what requests of each priority put up with: the least important are shed first, the most important last. */
export const LAG_FACTORS: Shares = { high: 2, default: 1, batch: 0.5 };

/** How fast the usual time of a request follows. */
const USUAL_SHARE = 0.1;

/** A request that was let in. */
export class Permit {
  #ended = false;

  constructor(
    private readonly shedder: LoadShedder,
    readonly priority: Priority,
    readonly startedAt: number,
    readonly inFlight: number,
  ) {}

  /** Once; what is said later is not heard. */
  end(how: Ended): void {
    if (this.#ended) return;
    this.#ended = true;
    this.shedder.ended(this, how);
  }
}

/**
 * Lets in as many requests at once as the limit says, and none while the event loop is late: those that are refused at once can be answered elsewhere, and
 * those that are let in are answered in time.
 *
 * Partitions as Netflix concurrency-limits has them (AbstractPartitionedLimiter): while there is room everybody is let in; when there is none, who has
 * less than its share under way still is. So together they may exceed the limit, by shares that others had borrowed.
 */
export class LoadShedder {
  readonly #under: Record<Priority, number> = { high: 0, default: 0, batch: 0 };
  readonly #lag: LoopLag | undefined;
  #inFlight = 0;
  /** Milliseconds; NaN: no request has been served. */
  #usualMs = Number.NaN;

  constructor(
    private readonly limiter: Limit,
    private readonly config: ShedderConfig,
    private readonly clock: Clock,
  ) {
    this.#lag = config.maxLagMs === Number.POSITIVE_INFINITY ? undefined : new LoopLag(clock);
  }

  get limit(): number {
    return this.limiter.at(this.clock.now());
  }

  /** Requests that were let in and are not over. */
  get inFlight(): number {
    return this.#inFlight;
  }

  under(priority: Priority): number {
    return this.#under[priority];
  }

  admit(priority: Priority = 'default'): Permit | ShedReason {
    const { shares, maxLagMs } = this.config;
    const now = this.clock.now();
    if (this.#lag !== undefined) {
      this.#lag.watch(now);
      if (this.#lag.lastingMs(now) > maxLagMs * LAG_FACTORS[priority]) return 'event-loop';
    }
    const limit = this.limiter.at(now);
    // "rounding up and ensuring the value is at least 1" - Partition.updateLimit.
    const share = shares === undefined ? 0 : Math.max(1, Math.ceil(limit * shares[priority]));
    if (this.#inFlight >= limit && this.#under[priority] >= share) return 'concurrency';
    this.#under[priority]++;
    return new Permit(this, priority, now, ++this.#inFlight);
  }

  /** For `Permit`. */
  ended({ priority, startedAt, inFlight }: Permit, how: Ended): void {
    this.#inFlight--;
    this.#under[priority]--;
    const rttMs = this.clock.now() - startedAt;
    if (how === 'served') {
      this.#usualMs = Number.isNaN(this.#usualMs) ? rttMs : this.#usualMs + (rttMs - this.#usualMs) * USUAL_SHARE;
      this.limiter.sample(startedAt, rttMs, inFlight, false);
      // Who left before the usual time changed its mind; who left after it had waited too long.
    } else if (how === 'left' && rttMs > this.#usualMs) this.limiter.sample(startedAt, rttMs, inFlight, true);
  }

  /** Ends the watch of the event loop; it begins again with the next request. */
  close(): void {
    this.#lag?.close();
  }
}
