import type { LoadStatsResponse } from './messages.js';

/** C-core's minimum: a server that asks for more, or says nothing, gets this. */
export const MIN_INTERVAL_MS = 1_000;

/** What a server wants to be told, and how often. Outlives a broken stream, until the next answer. */
export class Demand {
  #clusters: ReadonlySet<string> | 'all' = new Set();
  #intervalMs = MIN_INTERVAL_MS;

  /** Milliseconds between reports. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** "Clusters to report stats for. Not populated if send_all_clusters is true." */
  wants(cluster: string): boolean {
    return this.#clusters === 'all' || this.#clusters.has(cluster);
  }

  /**
   * Takes over what the server says; it may say something else at any time. True when the interval is another one. Reports by endpoint
   * (`report_endpoint_granularity`) are not for gRPC clients: "the EDS policy will not support per-endpoint stats" - A27
   */
  answer(response: LoadStatsResponse): boolean {
    const before = this.#intervalMs;
    this.#clusters = response.send_all_clusters === true ? 'all' : new Set(response.clusters);
    const { seconds = 0, nanos = 0 } = response.load_reporting_interval ?? {};
    this.#intervalMs = Math.max(MIN_INTERVAL_MS, seconds * 1_000 + nanos / 1e6);
    return this.#intervalMs !== before;
  }
}
