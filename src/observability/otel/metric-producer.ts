import type { Clock } from '../../core/clock.js';
import type { MetricFamily, Point } from '../metrics/collect.js';
import type { ExplicitHistogram } from '../metrics/histogram.js';
import type { Labels } from '../metrics/series.js';
import { SCOPE_NAME } from './api.js';

/** Seconds and nanoseconds since the epoch. */
type HrTime = [number, number];

interface DataPoint<V> {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Record<string, string | number>;
  readonly value: V;
}

interface HistogramValue {
  buckets: { boundaries: number[]; counts: number[] };
  sum: number;
  count: number;
}

interface Descriptor {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly valueType: number;
}

interface MetricBase {
  readonly descriptor: Descriptor;
  readonly aggregationTemporality: number;
}

type MetricData =
  | (MetricBase & { readonly dataPointType: 0; readonly dataPoints: DataPoint<HistogramValue>[] })
  | (MetricBase & { readonly dataPointType: 2; readonly dataPoints: DataPoint<number>[] })
  | (MetricBase & {
      readonly dataPointType: 3;
      readonly dataPoints: DataPoint<number>[];
      readonly isMonotonic: boolean;
    });

interface EmptyResource {
  readonly attributes: Record<string, never>;
  merge<R>(other: R | null): R | EmptyResource;
  getRawAttributes(): [];
}

/** A `MetricProducer` as `@opentelemetry/sdk-metrics` 2.x defines it. */
export interface MeshMetricProducer {
  collect(): Promise<{
    resourceMetrics: { resource: EmptyResource; scopeMetrics: { scope: { name: string }; metrics: MetricData[] }[] };
    errors: unknown[];
  }>;
}

// Numbers of the SDK's enums, which are part of its public interface.
const CUMULATIVE = 1;
const INT = 0;
const DOUBLE = 1;

/** The reader keeps its own resource: "Merge the results, keeping the SDK's Resource" - sdk-metrics, MetricReader. */
const NO_RESOURCE: EmptyResource = {
  attributes: {},
  merge: (other) => other ?? NO_RESOURCE,
  getRawAttributes: () => [],
};

/**
 * Hands our histograms and counters to the application's metric readers, whole and without a recording per call. The OpenTelemetry API
 * has no observable histogram, so the SDK's own door for foreign metrics is used: `metricProducers` of a reader.
 */
export function metricProducer(read: () => MetricFamily[], clock: Clock): MeshMetricProducer {
  return {
    collect() {
      const endTime = hrTime(clock.wallTime());
      const metrics = read().map((family) => metricData(family, endTime));
      const scopeMetrics = metrics.length === 0 ? [] : [{ scope: { name: SCOPE_NAME }, metrics }];
      return Promise.resolve({ resourceMetrics: { resource: NO_RESOURCE, scopeMetrics }, errors: [] });
    },
  };
}

function metricData(family: MetricFamily, endTime: HrTime): MetricData {
  const { name, description, unit, kind } = family.instrument;
  const whole = kind === 'counter';
  const base = {
    descriptor: { name, description, unit, valueType: whole ? INT : DOUBLE },
    aggregationTemporality: CUMULATIVE,
  };
  if (family.kind === 'histogram') {
    return {
      ...base,
      dataPointType: 0,
      dataPoints: family.points.map((point) => dataPoint(point, endTime, histogramValue)),
    };
  }
  const dataPoints = family.points.map((point) => dataPoint(point, endTime, (value: number) => value));
  return whole
    ? { ...base, dataPointType: 3, dataPoints, isMonotonic: true }
    : { ...base, dataPointType: 2, dataPoints };
}

const dataPoint = <V, R>(point: Point<V>, endTime: HrTime, convert: (value: V) => R): DataPoint<R> => ({
  startTime: hrTime(point.startedAt),
  endTime,
  attributes: mutable(point.labels),
  value: convert(point.value),
});

const histogramValue = ({ bounds, counts, sum, count }: ExplicitHistogram): HistogramValue => ({
  buckets: { boundaries: [...bounds], counts: Array.from(counts) },
  sum,
  count,
});

const mutable = (labels: Labels): Record<string, string | number> => ({ ...labels });

const hrTime = (wallMs: number): HrTime => {
  const seconds = Math.floor(wallMs / 1_000);
  return [seconds, Math.round((wallMs - seconds * 1_000) * 1_000_000)];
};
