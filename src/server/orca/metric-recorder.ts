import { type Clock, systemClock } from '../../core/clock.js';
import { type BackendMetrics, emptyMetrics } from '../../core/orca-report.js';
import { MetricValues } from './metric-values.js';
import { type LoadSample, LoadSampler } from './sampler.js';
import { type LoadSources, processSources } from './sources.js';

/** How long a measurement of the process is reported before it is taken again, in milliseconds. */
export const DEFAULT_SAMPLE_MS = 1_000;

export interface MetricRecorderOptions {
  /** How often the process is measured at most, in milliseconds. Default 1_000, at least 1. */
  readonly sampleMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Where its load is read. Default: this process, seen from this thread. */
  readonly sources?: LoadSources;
}

/**
 * The metrics of a server (gRFC A51, "Per-Server Recording"): what it measures of itself, and what the application sets. What is set stays until it is
 * set again, or to undefined; it stands in the place of what is measured.
 *
 * Measured: `cpu_utilization` (share of the cores that the process may use), `mem_utilization`, `rps_fractional` and `eps` of the requests that the
 * middleware has served, the utilization `event_loop` and the named metric `event_loop_lag_ms`. `application_utilization` is that of the event loop
 * while the application does not set its own: JavaScript has one thread, and a process whose loop never rests is full, however idle its other cores.
 */
export class MetricRecorder {
  readonly #set = new MetricValues();
  readonly #sampler: LoadSampler;
  #report: BackendMetrics | undefined;
  /** What the report is made of. */
  #sample: LoadSample | undefined;
  #version = 0;

  constructor({
    sampleMs = DEFAULT_SAMPLE_MS,
    clock = systemClock,
    sources = processSources(),
  }: MetricRecorderOptions = {}) {
    this.#sampler = new LoadSampler(sources, clock, sampleMs);
  }

  /** Share of CPU: 0 and up, above 1 beyond what it should take. */
  setCpuUtilization(value: number | undefined): void {
    this.#set.setOwn('cpuUtilization', value);
  }

  /** Share of memory, 0 to 1. */
  setMemoryUtilization(value: number | undefined): void {
    this.#set.setOwn('memUtilization', value);
  }

  /** How full the application is, in its own terms: 0 and up. Clients that balance by load go by it before all else (gRFC A58). */
  setApplicationUtilization(value: number | undefined): void {
    this.#set.setOwn('applicationUtilization', value);
  }

  /** Requests per second, in place of those that were counted. */
  setRps(value: number | undefined): void {
    this.#set.setOwn('rps', value);
  }

  /** Failed requests per second, in place of those that were counted. */
  setEps(value: number | undefined): void {
    this.#set.setOwn('eps', value);
  }

  /** Share of some resource that is in use, 0 to 1. */
  setUtilization(name: string, value: number | undefined): void {
    this.#set.setNamed('utilization', name, value);
  }

  /** Any number that clients know what to do with. */
  setNamedMetric(name: string, value: number | undefined): void {
    this.#set.setNamed('namedMetrics', name, value);
  }

  /** Counts a request for `rps` and `eps`; the middleware does. */
  finished(failed: boolean): void {
    this.#sampler.finished(failed);
  }

  /** All of it now; the same object while nothing has changed. */
  report(): BackendMetrics {
    const sample = this.#sampler.latest;
    if (this.#report === undefined || sample !== this.#sample || this.#set.version !== this.#version) {
      this.#sample = sample;
      this.#version = this.#set.version;
      this.#report = this.#make(sample);
    }
    return this.#report;
  }

  /** Ends the measuring. */
  close(): void {
    this.#sampler.close();
  }

  #make({ cpu, memory, eventLoop, lagMs, rps, eps }: LoadSample): BackendMetrics {
    const draft = emptyMetrics();
    draft.cpuUtilization = cpu;
    draft.memUtilization = memory;
    draft.applicationUtilization = eventLoop;
    draft.rps = rps;
    draft.eps = eps;
    draft.utilization['event_loop'] = eventLoop;
    draft.namedMetrics['event_loop_lag_ms'] = lagMs;
    this.#set.writeTo(draft);
    return draft;
  }
}

let shared: MetricRecorder | undefined;

/** The recorder of this process, made at the first time of asking: what `orca: true` reports, and `orcaService()`. */
export function serverMetrics(): MetricRecorder {
  shared ??= new MetricRecorder();
  return shared;
}
