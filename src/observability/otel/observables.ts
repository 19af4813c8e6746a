import { INSTRUMENTS, type Instrument } from '../metrics/catalogue.js';
import { gaugeInstrument, type MetricFamily } from '../metrics/collect.js';
import { type OtelApi, type OtelAttributes, type OtelMeter, type OtelObservable, SCOPE_NAME } from './api.js';

type Callback = Parameters<OtelObservable['addCallback']>[0];

/**
 * Our counters as observable instruments of the application's meter provider: read when it collects, nothing per call. A histogram is
 * seen as two counters, `<name>.count` and `<name>.sum`, because the API has no observable histogram; `metricProducer()` gives them whole.
 */
export class Observables {
  readonly #meter: OtelMeter;
  readonly #known = new Set<string>();
  readonly #callbacks: { instrument: OtelObservable; callback: Callback }[] = [];

  constructor(
    api: OtelApi,
    private readonly read: () => MetricFamily[],
  ) {
    this.#meter = api.metrics.getMeter(SCOPE_NAME);
    for (const instrument of INSTRUMENTS) this.#offer(instrument);
  }

  /** Offers gauges that have appeared under new names. An instrument must be there before it can be collected. */
  offerGauges(names: Iterable<string>): void {
    for (const name of names) this.#offer(gaugeInstrument(name));
  }

  close(): void {
    for (const { instrument, callback } of this.#callbacks) instrument.removeCallback(callback);
    this.#callbacks.length = 0;
  }

  #offer(instrument: Instrument): void {
    const { name, kind, unit, description } = instrument;
    if (this.#known.has(name)) return;
    this.#known.add(name);
    if (kind === 'histogram') {
      this.#observe(name, this.#meter.createObservableCounter(`${name}.count`, { unit: '1', description }), countOf);
      this.#observe(name, this.#meter.createObservableCounter(`${name}.sum`, { unit, description }), sumOf);
    } else if (kind === 'counter') {
      this.#observe(name, this.#meter.createObservableCounter(name, { unit, description }), numberOf);
    } else {
      this.#observe(name, this.#meter.createObservableGauge(name, { unit, description }), numberOf);
    }
  }

  #observe(name: string, instrument: OtelObservable, values: (family: MetricFamily) => Iterable<Observed>): void {
    const callback: Callback = (result) => {
      for (const family of this.#collected()) {
        if (family.instrument.name !== name) continue;
        for (const { labels, value } of values(family)) result.observe(value, { ...labels });
      }
    };
    instrument.addCallback(callback);
    this.#callbacks.push({ instrument, callback });
  }

  #cached: MetricFamily[] | undefined;

  /** One reading serves all instruments of a collection: they are asked one after another in one turn. */
  #collected(): MetricFamily[] {
    if (this.#cached === undefined) {
      this.#cached = this.read();
      queueMicrotask(() => {
        this.#cached = undefined;
      });
    }
    return this.#cached;
  }
}

interface Observed {
  readonly labels: OtelAttributes;
  readonly value: number;
}

const numberOf = (family: MetricFamily): Iterable<Observed> => (family.kind === 'number' ? family.points : []);
const countOf = (family: MetricFamily): Iterable<Observed> =>
  family.kind === 'histogram' ? family.points.map(({ labels, value }) => ({ labels, value: value.count })) : [];
const sumOf = (family: MetricFamily): Iterable<Observed> =>
  family.kind === 'histogram' ? family.points.map(({ labels, value }) => ({ labels, value: value.sum })) : [];
