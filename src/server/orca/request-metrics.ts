import { type BackendMetrics, emptyMetrics } from '../../core/orca-report.js';
import { MetricValues } from './metric-values.js';

/**
 * What one request has cost, and what it says of the server's load (gRFC A51, "Per-Request Recording"). Its values stand in the place of the server's.
 * Those that come after the head of an HTTP reply, or the status of a gRPC call, are too late.
 */
export class RequestMetrics {
  /** Made with the first value: most requests have none. */
  #values: MetricValues | undefined;

  /** What the request has cost, in any unit: bytes read, rows, tokens. */
  recordRequestCost(name: string, value: number): void {
    this.#recorded.setNamed('requestCost', name, value);
  }

  /** Share of some resource that is in use, 0 to 1. */
  recordUtilization(name: string, value: number): void {
    this.#recorded.setNamed('utilization', name, value);
  }

  /** Any number that clients know what to do with. */
  recordNamedMetric(name: string, value: number): void {
    this.#recorded.setNamed('namedMetrics', name, value);
  }

  /** 0 and up. */
  recordCpuUtilization(value: number): void {
    this.#recorded.setOwn('cpuUtilization', value);
  }

  /** 0 to 1. */
  recordMemoryUtilization(value: number): void {
    this.#recorded.setOwn('memUtilization', value);
  }

  /** 0 and up. */
  recordApplicationUtilization(value: number): void {
    this.#recorded.setOwn('applicationUtilization', value);
  }

  /** Requests per second. */
  recordRps(value: number): void {
    this.#recorded.setOwn('rps', value);
  }

  /** Failed requests per second. */
  recordEps(value: number): void {
    this.#recorded.setOwn('eps', value);
  }

  /** "metrics recorded with per-request recorder take a higher precedence" - A51. The same object when there are none. */
  over(server: BackendMetrics): BackendMetrics {
    if (this.#values === undefined) return server;
    const draft = emptyMetrics();
    for (const map of ['utilization', 'requestCost', 'namedMetrics'] as const) Object.assign(draft[map], server[map]);
    const { cpuUtilization, memUtilization, applicationUtilization, rps, eps } = server;
    Object.assign(draft, { cpuUtilization, memUtilization, applicationUtilization, rps, eps });
    this.#values.writeTo(draft);
    return draft;
  }

  get #recorded(): MetricValues {
    this.#values ??= new MetricValues();
    return this.#values;
  }
}
