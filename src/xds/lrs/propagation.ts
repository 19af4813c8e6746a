import type { BackendMetrics } from '../../core/orca.js';
import type { MetricSums } from './metric-sums.js';

/** Fields of `OrcaLoadReport` by their names in `Cluster.lrs_report_endpoint_metrics`, which are also those in the report. */
const NUMBERS: Readonly<Record<string, (metrics: BackendMetrics) => number>> = {
  cpu_utilization: (metrics) => metrics.cpuUtilization,
  mem_utilization: (metrics) => metrics.memUtilization,
  application_utilization: (metrics) => metrics.applicationUtilization,
  rps_fractional: (metrics) => metrics.rps,
  eps: (metrics) => metrics.eps,
};

/** "the string will be of the form <map_field_name>.<map_key>", and the key `*` stands for all - Envoy, cluster.proto */
const MAPS: Readonly<Record<string, (metrics: BackendMetrics) => Readonly<Record<string, number>>>> = {
  named_metrics: (metrics) => metrics.namedMetrics,
  utilization: (metrics) => metrics.utilization,
  request_cost: (metrics) => metrics.requestCost,
};

interface MapPropagation {
  readonly prefix: string;
  readonly read: (metrics: BackendMetrics) => Readonly<Record<string, number>>;
  /** Undefined: all of them. */
  readonly keys: ReadonlySet<string> | undefined;
}

/** Which of the metrics that a backend sends go into load reports (gRFC A85). Parsed when configuration changes, not per call. */
export class Propagation {
  readonly #numbers: (readonly [name: string, read: (metrics: BackendMetrics) => number])[] = [];
  readonly #maps: MapPropagation[] = [];

  /** "implementations should ignore any strings that do not match a currently supported ORCA field" - A85 */
  constructor(names: readonly string[]) {
    const keys = new Map<string, Set<string>>();
    for (const name of new Set(names)) {
      const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
      if (number !== undefined) this.#numbers.push([name, number]);
      const dot = name.indexOf('.');
      const field = name.slice(0, Math.max(dot, 0));
      if (!Object.hasOwn(MAPS, field)) continue;
      const wanted = keys.get(field) ?? new Set();
      keys.set(field, wanted.add(name.slice(dot + 1)));
    }
    for (const [field, wanted] of keys) {
      const read = MAPS[field] as MapPropagation['read'];
      this.#maps.push({ prefix: `${field}.`, read, keys: wanted.has('*') ? undefined : wanted });
    }
  }

  /** "if the lrs_report_endpoint_metrics field is unset in the CDS resource, nothing will be propagated" - A85 */
  get empty(): boolean {
    return this.#numbers.length === 0 && this.#maps.length === 0;
  }

  /** Adds one reply's metrics. A number that the backend left out counts as 0, as in C-core: ORCA cannot tell the two apart. */
  record(metrics: BackendMetrics, sums: MetricSums): void {
    for (const [name, read] of this.#numbers) sums.add(name, read(metrics));
    for (const { prefix, read, keys } of this.#maps) {
      const values = read(metrics);
      // "the key names in LRS will be prepended with `named_metrics.`" - A85
      for (const key of keys ?? Object.keys(values)) {
        if (Object.hasOwn(values, key)) sums.add(prefix + key, values[key] as number);
      }
    }
  }
}
