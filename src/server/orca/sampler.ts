import type { Clock } from '../../core/clock.js';
import type { LoadSources } from './sources.js';

/** What a process measured of itself over one stretch of time; 0 is also what is not known yet. */
export interface LoadSample {
  /** Share of the cores that the process may use. */
  readonly cpu: number;
  /** Share of memory. */
  readonly memory: number;
  /** Share of time that the event loop did not rest. */
  readonly eventLoop: number;
  /** Milliseconds that timers were late, 99th percentile. */
  readonly lagMs: number;
  /** Requests, and those of them that failed, per second. */
  readonly rps: number;
  readonly eps: number;
}

/** The least time between two samples, in milliseconds. */
const MIN_SAMPLE_MS = 1;

const NOTHING_YET: LoadSample = { cpu: 0, memory: 0, eventLoop: 0, lagMs: 0, rps: 0, eps: 0 };

/**
 * Measures when somebody asks, at most once every `sampleMs`: "the application that measures utilization data should consider sampling" - gRFC A51.
 * No timer runs while nobody asks; the first answer after a quiet time covers all of it.
 */
export class LoadSampler {
  readonly #sampleMs: number;
  #sample = NOTHING_YET;
  /** Of the last sample; written by `#take`. */
  #takenAt: number;
  #cpuMs: number;
  #loop: ReturnType<LoadSources['eventLoop']>;
  /** Since then. */
  #requests = 0;
  #errors = 0;

  constructor(
    private readonly sources: LoadSources,
    private readonly clock: Pick<Clock, 'now'>,
    sampleMs: number,
  ) {
    // Rates are over the time between two samples: there must be some. (Not a number is less, too.)
    this.#sampleMs = sampleMs >= MIN_SAMPLE_MS ? sampleMs : MIN_SAMPLE_MS;
    this.#takenAt = clock.now();
    this.#cpuMs = sources.cpuMs();
    this.#loop = sources.eventLoop();
  }

  /** A request was served. */
  finished(failed: boolean): void {
    this.#requests++;
    if (failed) this.#errors++;
  }

  /** The last sample, the same object until there is another. */
  get latest(): LoadSample {
    const now = this.clock.now();
    if (now - this.#takenAt >= this.#sampleMs) this.#take(now);
    return this.#sample;
  }

  close(): void {
    this.sources.close();
  }

  #take(now: number): void {
    const { sources } = this;
    const elapsedMs = now - this.#takenAt;
    const cpuMs = sources.cpuMs();
    const loop = sources.eventLoop();
    const activeMs = loop.activeMs - this.#loop.activeMs;
    const idleMs = loop.idleMs - this.#loop.idleMs;
    this.#sample = {
      cpu: (cpuMs - this.#cpuMs) / elapsedMs / Math.max(1, sources.cores()),
      memory: sources.memory(),
      eventLoop: activeMs + idleMs > 0 ? activeMs / (activeMs + idleMs) : 0,
      lagMs: sources.lagMs(),
      rps: (this.#requests / elapsedMs) * 1_000,
      eps: (this.#errors / elapsedMs) * 1_000,
    };
    this.#takenAt = now;
    this.#cpuMs = cpuMs;
    this.#loop = loop;
    this.#requests = 0;
    this.#errors = 0;
  }
}
