import {
  MAX_METRICS,
  type MetricMap,
  type MetricsDraft,
  type OwnMetric,
  validNamed,
  validOwn,
} from '../../core/orca-report.js';

/**
 * Metrics as an application has set them. "Values outside of the valid range are ignored" - gRFC A51; so are names beyond the first MAX_METRICS, since
 * no client reads a report with more.
 */
export class MetricValues {
  readonly #own = new Map<OwnMetric, number>();
  readonly #named: Readonly<Record<MetricMap, Map<string, number>>> = {
    utilization: new Map(),
    requestCost: new Map(),
    namedMetrics: new Map(),
  };
  /** Changes so far. */
  version = 0;

  /** "Recording the same metric multiple times overrides the previously provided values" - A51. Undefined: not set any more. */
  setOwn(name: OwnMetric, value: number | undefined): void {
    if (value === undefined) this.#own.delete(name);
    else if (validOwn(name, value)) this.#own.set(name, value);
    this.version++;
  }

  setNamed(map: MetricMap, name: string, value: number | undefined): void {
    const values = this.#named[map];
    if (value === undefined) values.delete(name);
    else if (validNamed(map, value) && (values.has(name) || this.#names < MAX_METRICS)) values.set(name, value);
    this.version++;
  }

  /** Puts them in the place of what is there. */
  writeTo(draft: MetricsDraft): void {
    for (const [name, value] of this.#own) draft[name] = value;
    for (const [map, values] of Object.entries(this.#named)) {
      for (const [name, value] of values) draft[map as MetricMap][name] = value;
    }
  }

  get #names(): number {
    const { utilization, requestCost, namedMetrics } = this.#named;
    return utilization.size + requestCost.size + namedMetrics.size;
  }
}
