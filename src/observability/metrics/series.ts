import type { Clock } from '../../core/clock.js';

export type LabelValue = string | number | undefined;
/** Label names as OpenTelemetry writes them, with dots. */
export type Labels = Readonly<Record<string, string | number>>;

/** Something counted under one set of labels. */
export interface Series {
  readonly labels: Labels;
  /** Wall time in milliseconds when counting began. */
  readonly startedAt: number;
  /** The round of `SeriesPool.round` in which it was last used; written by `SeriesTable.find`. */
  usedIn: number;
}

export interface SeriesPoolOptions {
  readonly clock: Clock;
  /** Series that may exist at once, over all metrics. Default 2_000. */
  readonly maxSeries?: number;
  /** A series without use for this long is dropped, in milliseconds. Default 600_000 (linkerd2-proxy, metrics retention). */
  readonly idleMs?: number;
}

interface Sweepable {
  sweep(usedBefore: number): number;
}

/** How many rounds of looking for idle series make up the idle time. */
const ROUNDS = 10;

/**
 * The bound on label sets: at most so many, then new ones are counted together under `other`, and idle ones make room. Names come
 * from applications (and, in a proxy, from strangers), so without a bound memory would be theirs to fill.
 */
export class SeriesPool {
  /** Counts up once per tenth of the idle time: reading the time itself costs more than counting a call. */
  round = 0;
  /** Values that were counted under `other`. */
  overflowed = 0;
  #size = 0;
  readonly #max: number;
  readonly #tables: Sweepable[] = [];
  readonly #clock: Clock;
  readonly #roundMs: number;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(options: SeriesPoolOptions) {
    this.#clock = options.clock;
    this.#max = options.maxSeries ?? 2_000;
    this.#roundMs = (options.idleMs ?? 600_000) / ROUNDS;
  }

  get size(): number {
    return this.#size;
  }

  /** Wall time for `Series.startedAt`. */
  wallTime(): number {
    return this.#clock.wallTime();
  }

  add(table: Sweepable): void {
    this.#tables.push(table);
  }

  /** Room for one more series, or no. */
  tryTake(): boolean {
    if (this.#size >= this.#max) return false;
    this.#size++;
    if (this.#cancelTimer === undefined && !this.#closed) this.#arm();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(): void {
    this.#cancelTimer = this.#clock.after(this.#roundMs, () => this.#turn(), { background: true });
  }

  #turn(): void {
    this.round++;
    for (const table of this.#tables) this.#size -= table.sweep(this.round - ROUNDS);
    this.#cancelTimer = undefined;
    if (this.#size > 0) this.#arm();
  }
}

type Level<T> = Map<LabelValue, T>;

/**
 * Series by four label values, found without building a key: four map look-ups on strings whose hashes are known cost a third of
 * joining and hashing them.
 */
export class SeriesTable<S extends Series> implements Sweepable {
  readonly #root: Level<Level<Level<Level<S>>>> = new Map();
  #other: S | undefined;
  /** What was found last, under these values; written by `find`, forgotten by `sweep`. */
  #last: S | undefined;
  #a: LabelValue;
  #b: LabelValue;
  #c: LabelValue;
  #d: LabelValue;

  /** `make` gets the values, or nothing for the series that stands for all others. */
  constructor(
    private readonly pool: SeriesPool,
    private readonly make: (values: readonly [LabelValue, LabelValue, LabelValue, LabelValue] | undefined) => S,
  ) {
    pool.add(this);
  }

  find(a: LabelValue, b: LabelValue, c: LabelValue, d: LabelValue): S {
    const last = this.#last;
    // One call is often like the one before it.
    if (last !== undefined && a === this.#a && b === this.#b && c === this.#c && d === this.#d) {
      last.usedIn = this.pool.round;
      return last;
    }
    const series = this.#root.get(a)?.get(b)?.get(c)?.get(d) ?? this.#insert(a, b, c, d);
    series.usedIn = this.pool.round;
    if (series !== this.#other) {
      this.#last = series;
      this.#a = a;
      this.#b = b;
      this.#c = c;
      this.#d = d;
    }
    return series;
  }

  *[Symbol.iterator](): IterableIterator<S> {
    for (const second of this.#root.values()) {
      for (const third of second.values()) for (const fourth of third.values()) yield* fourth.values();
    }
    if (this.#other !== undefined) yield this.#other;
  }

  sweep(usedBefore: number): number {
    let dropped = 0;
    this.#last = undefined;
    for (const [a, second] of this.#root) {
      for (const [b, third] of second) {
        for (const [c, fourth] of third) {
          for (const [d, series] of fourth) {
            if (series.usedIn > usedBefore) continue;
            fourth.delete(d);
            dropped++;
          }
          if (fourth.size === 0) third.delete(c);
        }
        if (third.size === 0) second.delete(b);
      }
      if (second.size === 0) this.#root.delete(a);
    }
    return dropped;
  }

  #insert(a: LabelValue, b: LabelValue, c: LabelValue, d: LabelValue): S {
    if (tooLong(a) || tooLong(b) || tooLong(c) || tooLong(d) || !this.pool.tryTake()) {
      this.pool.overflowed++;
      this.#other ??= this.make(undefined);
      return this.#other;
    }
    const second = child(this.#root, a);
    const third = child(second, b);
    const fourth = child(third, c);
    const series = this.make([a, b, c, d]);
    fourth.set(d, series);
    return series;
  }
}

function child<T>(level: Level<Level<T>>, value: LabelValue): Level<T> {
  let next = level.get(value);
  if (next === undefined) {
    next = new Map();
    level.set(value, next);
  }
  return next;
}

/** A longer value is no name of anything, and 2,000 of them would be worth filling memory with. */
const MAX_VALUE_LENGTH = 256;
const tooLong = (value: LabelValue): boolean => typeof value === 'string' && value.length > MAX_VALUE_LENGTH;

/** The value of every label of a series that counts what found no room. */
export const OTHER = 'other';
