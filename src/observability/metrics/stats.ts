import { LogLinearHistogram } from './histogram.js';
import type { Registry } from './registry.js';

/** One line of the table that `inmesh stat` and the demo print. */
export interface StatsRow {
  /** The destination as the application wrote it. */
  readonly service: string;
  /** `version` label of the endpoints that answered; undefined when none did or they have none. */
  readonly version: string | undefined;
  /** Calls that are over; those that say nothing about the service (the caller gave up, the mesh refused) are not among them. */
  readonly requests: number;
  readonly failures: number;
  /** Calls that say nothing about the service. */
  readonly ignored: number;
  /** Share of requests that succeeded, 0 to 1; undefined without a request. */
  readonly successRate: number | undefined;
  readonly requestsPerSecond: number;
  /** Milliseconds; undefined without a request. Exact to 1/32 of the value. */
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
  readonly p99Ms: number | undefined;
  /** Attempts after the first. */
  readonly retries: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

interface Totals {
  readonly service: string;
  readonly version: string | undefined;
  successes: number;
  failures: number;
  ignored: number;
  retries: number;
  bytesSent: number;
  bytesReceived: number;
  latency: LogLinearHistogram;
}

/**
 * The calls per service and version, at one moment: since the mesh was made, or since an earlier reading.
 *
 * ```ts
 * let before = mesh.stats();
 * every(1_000, () => { const now = mesh.stats(); print(now.since(before).rows); before = now; });
 * ```
 */
export class Stats {
  /** Sorted by service, then version. */
  readonly rows: readonly StatsRow[];
  readonly #totals: ReadonlyMap<string, Totals>;

  constructor(
    /** Monotonic milliseconds of the reading. */
    readonly at: number,
    /** What the reading covers, in milliseconds. */
    readonly windowMs: number,
    totals: ReadonlyMap<string, Totals>,
  ) {
    this.#totals = totals;
    this.rows = [...totals.values()].map((total) => rowOf(total, windowMs)).sort(byName);
  }

  /** What came after `earlier`, a reading of the same mesh. Services without a call in between have rows with zeros. */
  since(earlier: Stats): Stats {
    const totals = new Map<string, Totals>();
    for (const [key, now] of this.#totals) {
      const before = earlier.#totals.get(key);
      // A series that was dropped while idle began anew: then all of it came after.
      const anew = before === undefined || before.successes > now.successes || before.failures > now.failures;
      totals.set(key, anew ? now : difference(now, before));
    }
    return new Stats(this.at, this.at - earlier.at, totals);
  }
}

/** Adds up the series of a registry by service and version. `since` is the monotonic time when it began. */
export function readStats(registry: Registry, since: number): Stats {
  const totals = new Map<string, Totals>();
  for (const series of registry.calls) {
    const service = String(series.labels['mesh.destination']);
    const version = series.labels['mesh.version'];
    const key = JSON.stringify([service, version]);
    let total = totals.get(key);
    if (total === undefined) {
      total = {
        service,
        version: version === undefined ? undefined : String(version),
        successes: 0,
        failures: 0,
        ignored: 0,
        retries: 0,
        bytesSent: 0,
        bytesReceived: 0,
        latency: new LogLinearHistogram(),
      };
      totals.set(key, total);
    }
    total.successes += series.byOutcome.success?.count ?? 0;
    total.failures += series.byOutcome.failure?.count ?? 0;
    total.ignored += series.byOutcome.ignored?.count ?? 0;
    total.retries += series.retries;
    total.bytesSent += series.bytesSent;
    total.bytesReceived += series.bytesReceived;
    total.latency.add(series.latency);
  }
  const at = registry.clock.now();
  return new Stats(at, at - since, totals);
}

const difference = (now: Totals, before: Totals): Totals => ({
  service: now.service,
  version: now.version,
  successes: now.successes - before.successes,
  failures: now.failures - before.failures,
  ignored: Math.max(0, now.ignored - before.ignored),
  retries: Math.max(0, now.retries - before.retries),
  bytesSent: Math.max(0, now.bytesSent - before.bytesSent),
  bytesReceived: Math.max(0, now.bytesReceived - before.bytesReceived),
  latency: now.latency.since(before.latency),
});

function rowOf(total: Totals, windowMs: number): StatsRow {
  const requests = total.successes + total.failures;
  return {
    service: total.service,
    version: total.version,
    requests,
    failures: total.failures,
    ignored: total.ignored,
    successRate: requests === 0 ? undefined : total.successes / requests,
    requestsPerSecond: windowMs > 0 ? (requests * 1_000) / windowMs : 0,
    p50Ms: total.latency.quantile(0.5),
    p95Ms: total.latency.quantile(0.95),
    p99Ms: total.latency.quantile(0.99),
    retries: total.retries,
    bytesSent: total.bytesSent,
    bytesReceived: total.bytesReceived,
  };
}

const byName = (a: StatsRow, b: StatsRow): number =>
  compare(a.service, b.service) || compare(a.version ?? '', b.version ?? '');
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
