import type { Clock } from '../../core/clock.js';

/** The window, in milliseconds, and its parts: what is told is of the last 9 to 10 seconds. */
const WINDOW_MS = 10_000;
const SLOTS = 10;
const SLOT_MS = WINDOW_MS / SLOTS;
/** Buckets grow by a tenth each, from 0.1 ms to 7 minutes: what is told is at most a tenth too long. */
const BUCKETS = 160;
const SMALLEST_MS = 0.1;
const GROWTH = 1.1;
const LOG_GROWTH = Math.log(GROWTH);
/** Fewer say nothing of a tail: as many as Finagle's BackupRequestFilter wants. */
const LEAST_CALLS = 100;
/** A percentile is looked up for every call, and counted this often. */
const REFRESH_MS = 100;

/** How long a destination's calls took lately, as a histogram of fixed size (6 kB): the live p95 that hedging waits for. */
export class Latencies {
  readonly #slots = new Uint32Array(SLOTS * BUCKETS);
  /** Sums over `#slots`, by bucket; written with them. */
  readonly #sums = new Uint32Array(BUCKETS);
  #total = 0;
  /** Number of the slot that `now` was in at the last look. */
  #current: number;
  #asked = Number.NaN;
  #answer: number | undefined;
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly clock: Pick<Clock, 'now'>) {
    this.#current = Math.floor(clock.now() / SLOT_MS);
  }

  /** Calls in the window. */
  get size(): number {
    this.#expire(this.clock.now());
    return this.#total;
  }

  record(ms: number): void {
    this.#expire(this.clock.now());
    const bucket = bucketOf(ms);
    const at = (this.#current % SLOTS) * BUCKETS + bucket;
    this.#slots[at] = (this.#slots[at] as number) + 1;
    this.#sums[bucket] = (this.#sums[bucket] as number) + 1;
    this.#total++;
  }

  /** Milliseconds within which this share of the calls, in (0, 1), was answered; undefined as long as there were too few. */
  percentile(share: number): number | undefined {
    const now = this.clock.now();
    if (share !== this.#asked || now - this.#answeredAt >= REFRESH_MS) {
      this.#expire(now);
      this.#asked = share;
      this.#answeredAt = now;
      this.#answer = this.#total < LEAST_CALLS ? undefined : this.#find(Math.ceil(share * this.#total));
    }
    return this.#answer;
  }

  /** Upper edge of the bucket that has the call of this rank, from 1. */
  #find(rank: number): number {
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#sums[bucket] as number;
      if (seen >= rank) return SMALLEST_MS * GROWTH ** bucket;
    }
    return SMALLEST_MS * GROWTH ** (BUCKETS - 1);
  }

  #expire(now: number): void {
    const slot = Math.floor(now / SLOT_MS);
    if (slot === this.#current) return;
    const passed = Math.min(slot - this.#current, SLOTS);
    for (let i = 1; i <= passed; i++) this.#clear((this.#current + i) % SLOTS);
    this.#current = slot;
  }

  #clear(slot: number): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#slots[slot * BUCKETS + bucket] as number;
      this.#sums[bucket] = (this.#sums[bucket] as number) - count;
      this.#total -= count;
    }
    this.#slots.fill(0, slot * BUCKETS, (slot + 1) * BUCKETS);
  }
}

/** The first bucket whose upper edge is not below. */
const bucketOf = (ms: number): number =>
  ms <= SMALLEST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH));
