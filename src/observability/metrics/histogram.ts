/**
 * Upper bounds in seconds, inclusive, that OpenTelemetry advises for `http.client.request.duration` and `rpc.client.call.duration`
 * (semantic conventions, HTTP metrics and RPC metrics: ExplicitBucketBoundaries).
 */
export const DURATION_BOUNDS_S: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];

/** Counts by fixed upper bounds, plus one for what lies above all: what OpenTelemetry and Prometheus export. */
export class ExplicitHistogram {
  /** One more than there are bounds. Doubles, because 32 bits are full after a few days of a busy service. */
  readonly counts: Float64Array;
  count = 0;
  sum = 0;

  /** `bounds`: ascending, inclusive, in the unit of what is recorded; seconds unless given. */
  constructor(readonly bounds: readonly number[] = DURATION_BOUNDS_S) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  record(value: number): void {
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.count++;
    this.sum += value;
  }
}

/** Steps per power of two: a quantile is off by at most 1/32 of its value, half a step. */
const STEPS = 16;
const STEP_BITS = 4;
const BUCKETS = (32 - STEP_BITS + 1) * STEPS;
const LARGEST = 2 ** 32 - 1;

/**
 * Durations from 1 µs to 71 minutes in 464 buckets that grow with the value, so that p50 and p99 are equally exact. Log-linear as in
 * HdrHistogram and Circonus' circllhist: linear steps within each power of two. Adds up and subtracts bucket by bucket.
 */
export class LogLinearHistogram {
  readonly #counts: Float64Array;

  constructor(counts = new Float64Array(BUCKETS)) {
    this.#counts = counts;
  }

  record(milliseconds: number): void {
    const bucket = bucketOf(milliseconds);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  add(other: LogLinearHistogram): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i] = (this.#counts[i] as number) + (other.#counts[i] as number);
  }

  copy(): LogLinearHistogram {
    return new LogLinearHistogram(this.#counts.slice());
  }

  /** What came after `earlier`. A series that began anew meanwhile has less than before: then all of it counts. */
  since(earlier: LogLinearHistogram): LogLinearHistogram {
    const counts = this.#counts.slice();
    for (let i = 0; i < BUCKETS; i++) {
      counts[i] = (counts[i] as number) - (earlier.#counts[i] as number);
      if ((counts[i] as number) < 0) return this.copy();
    }
    return new LogLinearHistogram(counts);
  }

  /** The value below which a share `q` of all lies, in milliseconds; undefined when nothing was recorded. */
  quantile(q: number): number | undefined {
    let total = 0;
    for (const count of this.#counts) total += count;
    if (total === 0) return undefined;
    const rank = Math.min(total, Math.max(1, Math.ceil(q * total)));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i] as number;
      if (seen >= rank) return middleOf(i);
    }
    return middleOf(BUCKETS - 1);
  }
}

function bucketOf(milliseconds: number): number {
  // NaN and negative values land in the first bucket.
  const micros = milliseconds > 0 ? Math.min(milliseconds * 1_000, LARGEST) >>> 0 : 0;
  if (micros < STEPS) return micros;
  const exponent = 31 - Math.clz32(micros);
  return ((exponent - STEP_BITS + 1) << STEP_BITS) + ((micros >>> (exponent - STEP_BITS)) & (STEPS - 1));
}

/** The middle of a bucket, in milliseconds. */
function middleOf(bucket: number): number {
  if (bucket < STEPS) return (bucket + 0.5) / 1_000;
  const exponent = (bucket >>> STEP_BITS) + STEP_BITS - 1;
  const width = 2 ** (exponent - STEP_BITS);
  return (2 ** exponent + (bucket % STEPS) * width + width / 2) / 1_000;
}
