import type { Clock } from '../../core/clock.js';
import type { LimitStore } from '../../core/limits.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { RlsRequest, RlsResponse } from '../../core/rls.js';
import { type ConfigWatch, watchFiles } from '../files/watch.js';
import { formatProblem } from '../yaml/problem.js';
import { decide, UnanswerableRequest } from './decide.js';
import { type LimitsResult, readLimits } from './read.js';
import { INVALID_ARGUMENT, type Refusal, UNAVAILABLE } from './service.js';
import type { LimitTable } from './table.js';

export interface RateLimitsOptions {
  readonly paths: string | readonly string[];
  /** Closed with it. */
  readonly store: LimitStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
}

export interface RateLimitsStatus {
  /** A good configuration has been loaded. */
  readonly ready: boolean;
  readonly domains: readonly string[];
  /** What is wrong with the newest edit; undefined when nothing is. The one before is in force. */
  readonly refused: readonly string[] | undefined;
}

/** Limits by descriptor, from files that are watched, and their counts: answers what a rate limit service is asked. */
export class RateLimits {
  #table: LimitTable | undefined;
  #refused: readonly string[] | undefined;
  #watch: ConfigWatch | undefined;
  #closed = false;

  constructor(private readonly options: RateLimitsOptions) {}

  /** Resolves after the first look at the files, good or bad. */
  async start(): Promise<void> {
    const { paths, clock, logger } = this.options;
    await new Promise<void>((resolve) => {
      this.#watch = watchFiles(paths, readLimits, {
        clock,
        logger,
        onChange: (result) => {
          this.#take(result);
          resolve();
        },
      });
    });
  }

  status(): RateLimitsStatus {
    const table = this.#table;
    return { ready: table !== undefined, domains: [...(table?.keys() ?? [])], refused: this.#refused };
  }

  /** Rejects with a Refusal: whoever asks does then what its policy says of a service that does not answer. */
  async answer(request: RlsRequest): Promise<RlsResponse> {
    if (this.#table === undefined || this.#closed) {
      const details = this.#closed ? 'the service is closing' : 'no good rate limit configuration has been loaded';
      throw { code: UNAVAILABLE, details } satisfies Refusal;
    }
    try {
      return await decide(this.#table, request, this.options);
    } catch (error) {
      if (error instanceof UnanswerableRequest)
        throw { code: INVALID_ARGUMENT, details: error.message } satisfies Refusal;
      this.options.logger.debug('counts cannot be had', { error: String(error) });
      throw { code: UNAVAILABLE, details: `counts cannot be had: ${String(error)}` } satisfies Refusal;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    await this.options.store.close();
  }

  #take({ table, problems }: LimitsResult): void {
    const { logger } = this.options;
    if (table === undefined) {
      this.#refused = problems.map(formatProblem);
      logger.error('rate limits are refused: those before stay in force', { problems: this.#refused });
      return;
    }
    this.#table = table;
    this.#refused = undefined;
    logger.info('rate limits loaded', { domains: [...table.keys()] });
  }
}
