import type { BalancerConfig, WeightedRoundRobinConfig } from '../../core/model/balancer.js';
import type { BackendMetrics } from '../../core/orca-report.js';
import type { Endpoint } from '../endpoints/endpoint.js';

/** There has been no report, or it is within the blackout period. */
export const NOT_YET_USABLE = 0;
/** The last report is older than the expiration period. */
export const STALE = -1;

/** What weights may be: requests per second over utilisation. Beyond it, sums of them lose all others, and no server is like that. */
const MIN_WEIGHT = 1e-6;
const MAX_WEIGHT = 1e12;

/** What an endpoint's reports say of how much it can take - gRFC A58 "Subchannel Weights". */
export class LoadWeight {
  #weight = 0;
  /** Monotonic milliseconds of the first report since it was last connected or expired; reset by `disconnected` and `value`. */
  #nonEmptySince = Number.POSITIVE_INFINITY;
  #updatedAt = Number.NEGATIVE_INFINITY;

  report(report: BackendMetrics, config: WeightedRoundRobinConfig, now: number): void {
    const { rps, eps } = report;
    let utilization = utilizationOf(report, config.metrics);
    if (utilization > 0 && rps > 0) utilization += (eps / rps) * config.errorPenalty;
    const weight = utilization > 0 ? rps / utilization : 0;
    // Not a number, too.
    if (!(weight >= MIN_WEIGHT && weight <= MAX_WEIGHT)) return;
    if (this.#nonEmptySince === Number.POSITIVE_INFINITY) this.#nonEmptySince = now;
    this.#updatedAt = now;
    this.#weight = weight;
  }

  /** "it is reset when a subchannel comes back to READY": what it says after that has to be heard for the blackout period again. */
  disconnected(): void {
    this.#nonEmptySince = Number.POSITIVE_INFINITY;
  }

  /** Above 0, or NOT_YET_USABLE, or STALE. */
  value({ blackoutMs, expirationMs }: WeightedRoundRobinConfig, now: number): number {
    if (now - this.#updatedAt >= expirationMs) {
      const stale = this.#weight > 0;
      this.#nonEmptySince = Number.POSITIVE_INFINITY;
      return stale ? STALE : NOT_YET_USABLE;
    }
    return blackoutMs > 0 && now - this.#nonEmptySince < blackoutMs ? NOT_YET_USABLE : this.#weight;
  }
}

const ROOT_FIELDS: Readonly<Record<string, (report: BackendMetrics) => number>> = {
  __proto__: null as never,
  application_utilization: (report) => report.applicationUtilization,
  cpu_utilization: (report) => report.cpuUtilization,
  mem_utilization: (report) => report.memUtilization,
};
const MAP_FIELDS: Readonly<Record<string, (report: BackendMetrics) => Readonly<Record<string, number>>>> = {
  __proto__: null as never,
  named_metrics: (report) => report.namedMetrics,
  utilization: (report) => report.utilization,
};

/** The highest of the named metrics that are there and above 0 (gRFC A114); else the application's utilisation, else the CPU's (A58). */
function utilizationOf(report: BackendMetrics, metrics: readonly string[]): number {
  let highest = 0;
  for (const name of metrics) {
    const dot = name.indexOf('.');
    // "The first period separates the map field name from the key name" - gRFC A114
    const value = dot < 0 ? ROOT_FIELDS[name]?.(report) : MAP_FIELDS[name.slice(0, dot)]?.(report)[name.slice(dot + 1)];
    // Not greater: absent, or not a number, too.
    if (value !== undefined && value > highest) highest = value;
  }
  if (highest > 0) return highest;
  return report.applicationUtilization > 0 ? report.applicationUtilization : report.cpuUtilization;
}

const known = new WeakMap<Endpoint, LoadWeight>();

/** The endpoint's weight. It goes with the endpoint, so that another balancer, of a new configuration or another priority, starts from what is known. */
export function loadWeightOf(endpoint: Endpoint): LoadWeight {
  let weight = known.get(endpoint);
  if (weight === undefined) {
    weight = new LoadWeight();
    known.set(endpoint, weight);
  }
  return weight;
}

/** For people to see: the weight that is used now; undefined when the balancer goes by something else, or by the mean of the others. */
export function reportedWeight(endpoint: Endpoint, balancer: BalancerConfig, now: number): number | undefined {
  if (balancer.kind !== 'weighted_round_robin') return undefined;
  const weight = known.get(endpoint)?.value(balancer, now) ?? NOT_YET_USABLE;
  return weight > 0 ? weight : undefined;
}
