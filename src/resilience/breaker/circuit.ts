import { EventEmitter } from 'node:events';
import type CircuitBreaker from 'opossum';
import type { BreakerConfig } from '../../core/model/breaker.js';

/** opossum's class. It is loaded by those who configure a breaker, and by nobody else. */
export type Opossum = typeof CircuitBreaker;

export const loadOpossum = (): Promise<Opossum> => import('opossum').then((module) => module.default);

/** A state to begin with, as opossum's `toJSON` gives it; its type declarations leave it out. */
interface Options extends CircuitBreaker.Options<[failed: boolean]> {
  readonly state?: { readonly closed: boolean; readonly halfOpen: boolean };
}

/** The circuit's only job: opossum counts what an action has come to, and ours has come to it before. */
const FAILED = new Error('the call failed');
const DONE = Promise.resolve();
const outcome = (failed: boolean): Promise<void> => {
  if (failed) throw FAILED;
  return DONE;
};
const ignore = (): void => {};

/** opossum keeps the latency of every call, percentiles or not: they are thrown away each time that so many have come. */
const LATENCIES_KEPT = 1_024;

/**
 * opossum's circuit with time taken out of its hands: the state, its window of counts, the decision by success rate, and the events are its own. What it
 * does by timers is asked of the injected clock instead. Its buckets are turned when a call ends, not by an interval; its reset timer is taken off, and
 * half-open is a circuit of its own that begins in that state, with empty buckets.
 *
 * Calls do not run inside it (`fire` is told of each when its reply has ended), as gRPC fails in trailers, and as what was refused by ourselves or given up
 * by the caller must count for nothing: opossum's rate is failures ÷ calls begun.
 */
export class Circuit {
  readonly #opossum: CircuitBreaker<[failed: boolean], void>;
  readonly #rotation = new EventEmitter();
  readonly #bucketMs: number;
  /** Number of the bucket that counts now. */
  #bucket: number;
  #counted = 0;

  constructor(
    Class: Opossum,
    private readonly config: Pick<BreakerConfig, 'successRate'>,
    now: number,
    { halfOpen, onOpen, onClose }: { halfOpen: boolean; onOpen: () => void; onClose: () => void },
  ) {
    const { successRate } = config;
    const { windowMs = 1, buckets = 1, threshold = 0, minRequests = Number.MAX_SAFE_INTEGER } = successRate ?? {};
    this.#bucketMs = windowMs / buckets;
    this.#bucket = Math.floor(now / this.#bucketMs);
    const options: Options = {
      name: 'destination',
      // Ours are the deadlines, the percentiles and the snapshots.
      timeout: false,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#rotation,
      rollingCountTimeout: windowMs,
      rollingCountBuckets: buckets,
      // It opens above this. The hair keeps 7 failures of 100 from being more than 7 %.
      errorThresholdPercentage: (1 - threshold) * 100 + 1e-9,
      volumeThreshold: minRequests,
      ...(halfOpen ? { state: { closed: false, halfOpen: true } } : {}),
    };
    this.#opossum = new Class(outcome, options);
    this.#opossum.removeAllListeners('open');
    this.#opossum.on('open', onOpen).on('close', onClose);
  }

  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#opossum.closed) return 'closed';
    return this.#opossum.opened ? 'open' : 'half-open';
  }

  /** Counts a call that ended at `now`; a failure may open the circuit before this returns. Only where a success rate is configured. */
  count(failed: boolean, now: number): void {
    if (this.config.successRate === undefined) return;
    this.#rotate(now);
    if (++this.#counted % LATENCIES_KEPT === 0)
      for (const bucket of this.#opossum.status.window) bucket.latencyTimes = [];
    this.#opossum.fire(failed).catch(ignore);
  }

  open(): void {
    this.#opossum.open();
  }

  close(): void {
    this.#opossum.close();
  }

  #rotate(now: number): void {
    const bucket = Math.floor(now / this.#bucketMs);
    const passed = Math.min(bucket - this.#bucket, this.config.successRate?.buckets ?? 0);
    for (let i = 0; i < passed; i++) this.#rotation.emit('rotate');
    this.#bucket = bucket;
  }
}
