import type Bottleneck from 'bottleneck';
import type { Clock } from '../../../core/clock.js';
import { CaError } from '../errors.js';

export interface SigningQueueOptions {
  /** Requests that wait, at most. Default 20,000. */
  readonly maxWaiting: number;
  /** Of these, of one caller. Default 2,000. */
  readonly maxPerCaller: number;
  /** Certificates that are made together: one write to the disk for all of them. Default 64. */
  readonly batch: number;
}

export const DEFAULT_QUEUE: SigningQueueOptions = { maxWaiting: 20_000, maxPerCaller: 2_000, batch: 64 };

interface Job {
  /** Since when it waits, monotonic milliseconds. */
  readonly since: number;
  run(): Promise<void>;
  reject(error: Error): void;
}

/** How long those who are turned away are told to wait, in milliseconds; about as long as what waits takes. */
const MIN_RETRY_MS = 200;
const MAX_RETRY_MS = 60_000;
/** Until it is known how fast it goes: certificates per second. */
const ASSUMED_RATE = 200;

/**
 * Signing, in turns: the callers who wait take turns, however much each of them asks for, and so one who asks for ten thousand does not hold up one who asks for one. Bottleneck
 * paces the batches: one at a time, with turns of the event loop between them. What there is no room for is refused at once, and told when to come again.
 */
export class SigningQueue {
  readonly #callers = new Map<string, Job[]>();
  #waiting = 0;
  #served = 0;
  #waitedMs = 0;
  #scheduled = false;
  #closed = false;
  #rate = ASSUMED_RATE;
  #limiter: Promise<Bottleneck> | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly options: SigningQueueOptions = DEFAULT_QUEUE,
  ) {}

  get waiting(): number {
    return this.#waiting;
  }

  /** Requests that had their turn. */
  get served(): number {
    return this.#served;
  }

  /** How long these waited for it, together. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** How long whoever waits longest has waited; 0: nobody does. */
  longestWaitMs(now: number): number {
    let first = now;
    for (const [job] of this.#callers.values()) if (job !== undefined) first = Math.min(first, job.since);
    return now - first;
  }

  /** Runs `work` when it is the caller's turn. */
  run<T>(caller: string, work: () => Promise<T>): Promise<T> {
    const { maxWaiting, maxPerCaller } = this.options;
    if (this.#closed) return Promise.reject(new CaError('unavailable', 'the authority is closing'));
    const line = this.#callers.get(caller) ?? [];
    if (this.#waiting >= maxWaiting || line.length >= maxPerCaller) {
      const what = line.length >= maxPerCaller ? `${line.length} requests of this caller` : `${this.#waiting} requests`;
      const ahead = line.length >= maxPerCaller ? line.length * this.#callers.size : this.#waiting;
      const retryAfterMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, Math.round((ahead / this.#rate) * 1_000)));
      return Promise.reject(new CaError('too_many', `${what} wait to be signed: try again later`, retryAfterMs));
    }
    return new Promise<T>((resolve, reject) => {
      line.push({ since: this.clock.now(), run: () => work().then(resolve, reject), reject });
      // A caller who is new stands behind the others.
      this.#callers.set(caller, line);
      this.#waiting++;
      this.#schedule();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const line of this.#callers.values())
      for (const { reject } of line) reject(new CaError('unavailable', 'the authority is closing'));
    this.#callers.clear();
    this.#waiting = 0;
    // Resolves when the batch under way is done.
    await (await this.#limiter)?.stop({ dropWaitingJobs: false });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#limiter ??= import('bottleneck').then(({ default: Limiter }) => new Limiter({ maxConcurrent: 1 }));
    void this.#limiter
      .then((limiter) => limiter.schedule(() => this.#batch()))
      .then(() => {
        this.#scheduled = false;
        if (this.#waiting > 0) this.#schedule();
      });
  }

  async #batch(): Promise<void> {
    const jobs: Job[] = [];
    while (jobs.length < this.options.batch) {
      const job = this.#next();
      if (job === undefined) break;
      jobs.push(job);
    }
    const from = this.clock.now();
    await Promise.all(jobs.map((job) => job.run()));
    const seconds = (this.clock.now() - from) / 1_000;
    if (seconds > 0 && jobs.length > 0) this.#rate += (jobs.length / seconds - this.#rate) / 8;
  }

  /** The first of who stands first, who then stands last. */
  #next(): Job | undefined {
    for (const [caller, line] of this.#callers) {
      const job = line.shift();
      this.#callers.delete(caller);
      if (line.length > 0) this.#callers.set(caller, line);
      if (job === undefined) continue;
      this.#waiting--;
      this.#served++;
      this.#waitedMs += this.clock.now() - job.since;
      return job;
    }
    return undefined;
  }
}
