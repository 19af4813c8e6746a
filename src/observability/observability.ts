import type { Clock } from '../core/clock.js';
import type { Logger } from '../core/log.js';
import type { Finished, Meter, MeshEvent, Tracer } from '../core/meter.js';
import type { Random } from '../core/random.js';
import type { Filter } from '../core/service.js';
import { publishAttemptEnd, publishCallEnd, publishEvent } from './events.js';
import { type AccessLog, type AccessLogTarget, createAccessLog } from './log/access-log.js';
import { collect, type MetricFamily } from './metrics/collect.js';
import { prometheusText, type TextFormat } from './metrics/prometheus.js';
import { Registry } from './metrics/registry.js';
import { readStats, type Stats } from './metrics/stats.js';
import type { OtelApi } from './otel/api.js';
import { OtelLink } from './otel/link.js';
import { type MeshMetricProducer, metricProducer } from './otel/metric-producer.js';
import { Observables } from './otel/observables.js';
import type { NewTraces } from './trace/own-propagation.js';
import { suppressDoubleSpans } from './trace/suppress.js';
import { MeshTracer, noTracer } from './trace/tracer.js';

export interface ObservabilityOptions {
  /** Name of this workload: `source` in the access log. */
  readonly service: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** `own`: spans and trace headers are ours. `off`: neither, for applications that leave them to an instrumentation. Default `own`. */
  readonly tracing?: 'own' | 'off';
  /**
   * What a call without a trace gets when no OpenTelemetry SDK is registered. `sampled`: a new trace, marked as recorded, so that
   * services with a parent-based sampler (the SDKs' default) go on recording what they would record without it. `unsampled`: a new
   * trace that they do not record. `off`: none. Default `sampled`.
   */
  readonly newTraces?: NewTraces;
  /** Default off. */
  readonly accessLog?: AccessLogTarget;
  /** Label sets that may exist at once; further ones are counted under `other`. Default 2_000. */
  readonly maxSeries?: number;
  /** A label set without use for this long is dropped, in milliseconds. Default 600_000. */
  readonly seriesIdleMs?: number;
  /** The application's `@opentelemetry/api`; looked for when it is not given. */
  readonly otel?: OtelApi;
}

export interface Observability {
  readonly meter: Meter;
  readonly tracer: Tracer;
  /** Stands directly above the HTTP/1.1 transport: keeps instrumentation-undici from a second span per attempt. */
  readonly suppressDoubleSpans: Filter;
  /** Calls per service and version since the beginning; `now.since(before)` for a window. */
  stats(): Stats;
  /** All metrics as text for a scraper. */
  prometheus(format?: TextFormat): string;
  /**
   * All metrics for readers of an OpenTelemetry SDK: `new PeriodicExportingMetricReader({ exporter, metricProducers: [producer] })`.
   * Once asked for, the same metrics are no longer offered as observable instruments.
   */
  metricProducer(): MeshMetricProducer;
  /** Writes the rest of the access log, and ends every timer and callback. Idempotent. */
  close(): Promise<void>;
}

export function createObservability(options: ObservabilityOptions): Observability {
  return new MeshObservability(options);
}

class MeshObservability implements Observability, Meter {
  readonly meter: Meter = this;
  readonly tracer: Tracer;
  readonly suppressDoubleSpans: Filter;
  readonly #registry: Registry;
  readonly #accessLog: AccessLog | undefined;
  readonly #link: OtelLink;
  readonly #clock: Clock;
  readonly #startedAt: number;
  #observables: Observables | undefined;
  #producer: MeshMetricProducer | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ObservabilityOptions) {
    const { clock, logger, maxSeries, seriesIdleMs } = options;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#registry = new Registry({
      clock,
      ...(maxSeries === undefined ? {} : { maxSeries }),
      ...(seriesIdleMs === undefined ? {} : { idleMs: seriesIdleMs }),
    });
    this.#accessLog = createAccessLog({ target: options.accessLog, source: options.service, clock, logger });
    this.#link = new OtelLink(options.otel, logger);
    const own = options.tracing !== 'off';
    this.tracer = own ? new MeshTracer(this.#link, options.random, options.newTraces ?? 'sampled') : noTracer;
    this.suppressDoubleSpans = own ? suppressDoubleSpans(this.#link) : (next) => next;
  }

  callFinished(finished: Finished): void {
    // Applications register their SDK before or after they make the mesh, and the API tells nobody when: looking is one property read.
    if (this.#observables === undefined && this.#link.hasMeterProvider) this.#offerObservables();
    this.#registry.callFinished(finished);
    this.#accessLog?.write(finished);
    publishCallEnd(finished);
  }

  attemptFinished(finished: Finished): void {
    this.#registry.attemptFinished(finished);
    publishAttemptEnd(finished);
  }

  event(event: MeshEvent): void {
    this.#registry.event(event);
    publishEvent(event);
  }

  gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): () => void {
    this.#observables?.offerGauges([name]);
    return this.#registry.gauge(name, labels, read);
  }

  record(name: string, labels: Readonly<Record<string, string>>, value: number): void {
    this.#registry.record(name, labels, value);
  }

  stats(): Stats {
    return readStats(this.#registry, this.#startedAt);
  }

  prometheus(format?: TextFormat): string {
    return prometheusText(this.#collect(), format);
  }

  metricProducer(): MeshMetricProducer {
    this.#stopObservables();
    this.#producer ??= metricProducer(() => this.#collect(), this.#clock);
    return this.#producer;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #close(): Promise<void> {
    this.#stopObservables();
    this.#registry.close();
    return this.#accessLog?.close() ?? Promise.resolve();
  }

  #collect(): MetricFamily[] {
    return collect(this.#registry, this.#accessLog?.dropped ?? 0);
  }

  #offerObservables(): void {
    const api = this.#link.api;
    if (api === undefined || this.#producer !== undefined || this.#closed !== undefined) return;
    this.#observables = new Observables(api, () => this.#collect());
    this.#observables.offerGauges(Array.from(this.#registry.gauges, (gauge) => gauge.name));
  }

  #stopObservables(): void {
    this.#observables?.close();
    this.#observables = undefined;
  }
}
