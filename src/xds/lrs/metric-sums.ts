/** One metric of one interval: `EndpointLoadMetricStats`. */
export interface MetricSum {
  /** Replies that carried the metric: `num_requests_finished_with_metric`. */
  requests: number;
  /** "aggregated using addition" - A64 */
  total: number;
}

/** Names are a backend's choice (`named_metrics.*`): so many are kept in one interval, and what has another name is passed over. */
export const MAX_METRICS = 1_000;

const NO_SUMS: ReadonlyMap<string, MetricSum> = new Map();

/** Sums of backend metrics by the name that they have in the report. */
export class MetricSums {
  #sums = new Map<string, MetricSum>();

  get empty(): boolean {
    return this.#sums.size === 0;
  }

  /** Infinity and NaN are passed over: one of them would swallow the whole sum. */
  add(name: string, value: number, requests = 1): void {
    if (!Number.isFinite(value)) return;
    const sum = this.#sums.get(name);
    if (sum !== undefined) {
      sum.requests += requests;
      sum.total += value;
    } else if (this.#sums.size < MAX_METRICS) this.#sums.set(name, { requests, total: value });
  }

  /** "Locally aggregated stats will be cleared" with each report, and so are the names - A64 */
  take(): ReadonlyMap<string, MetricSum> {
    if (this.#sums.size === 0) return NO_SUMS;
    const taken = this.#sums;
    this.#sums = new Map();
    return taken;
  }

  putBack(taken: ReadonlyMap<string, MetricSum>): void {
    for (const [name, { total, requests }] of taken) this.add(name, total, requests);
  }
}
