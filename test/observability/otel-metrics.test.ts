import * as api from '@opentelemetry/api';
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  type MetricProducer,
  MetricReader,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { createObservability, type Observability } from '../../src/observability/observability.js';
import { DURATION_BOUNDS_S } from '../../src/observability/metrics/histogram.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

/** A reader that is read by hand. */
class HandReader extends MetricReader {
  protected override onShutdown = async (): Promise<void> => {};
  protected override onForceFlush = async (): Promise<void> => {};
}

let open: Observability | undefined;
function observability(clock = new FakeClock()): Observability {
  open = createObservability({ service: 'web', clock, random: seededRandom(1), logger: silentLogger, otel: api });
  return open;
}
afterEach(async () => {
  api.metrics.disable();
  await open?.close();
});

const metricsOf = ({ scopeMetrics }: ResourceMetrics) => scopeMetrics.flatMap(({ metrics }) => metrics);

test('a reader of the SDK gets whole histograms through metricProducers, under its own resource', async () => {
  const clock = new FakeClock();
  const mesh = observability(clock);
  mesh.meter.attemptFinished(finished({ durationMs: 60 }));
  mesh.meter.event({ kind: 'retry', cluster: 'c', reason: '5xx' });
  await clock.advance(1_500);
  // The type of the SDK itself: what we hand out must be one.
  const producer: MetricProducer = mesh.metricProducer();
  const reader = new HandReader({ metricProducers: [producer] });
  const provider = new MeterProvider({
    readers: [reader],
    resource: resourceFromAttributes({ 'service.name': 'web' }),
  });
  const { resourceMetrics, errors } = await reader.collect();
  expect(errors).toEqual([]);
  expect(resourceMetrics.resource.attributes['service.name']).toBe('web');
  const metrics = metricsOf(resourceMetrics);
  const duration = metrics.find(({ descriptor }) => descriptor.name === 'http.client.request.duration');
  expect(duration).toMatchObject({
    descriptor: { unit: 's' },
    dataPointType: DataPointType.HISTOGRAM,
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  });
  const point = duration?.dataPoints[0];
  expect(point?.attributes).toMatchObject({ 'server.address': 'reviews', 'http.response.status_code': 200 });
  expect(point?.value).toEqual({
    buckets: { boundaries: DURATION_BOUNDS_S, counts: DURATION_BOUNDS_S.concat(0).map((_, i) => (i === 4 ? 1 : 0)) },
    sum: 0.06,
    count: 1,
  });
  expect((point?.endTime[0] as number) - (point?.startTime[0] as number)).toBeGreaterThanOrEqual(1);
  const retries = metrics.find(({ descriptor }) => descriptor.name === 'mesh.client.retries');
  expect(retries).toMatchObject({ dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: [{ value: 1 }] });
  await provider.shutdown();
});

test('who only has a global meter provider gets observable counters and gauges, histograms as count and sum', async () => {
  const reader = new HandReader();
  api.metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  const mesh = observability();
  const over = finished({ durationMs: 60 });
  mesh.meter.callFinished(over);
  mesh.meter.attemptFinished(over);
  mesh.meter.gauge('mesh.pool.connections', { cluster: 'c' }, () => 4);
  const { resourceMetrics, errors } = await reader.collect();
  expect(errors).toEqual([]);
  const byName = new Map(metricsOf(resourceMetrics).map((metric) => [metric.descriptor.name, metric]));
  expect(byName.get('http.client.request.duration.count')?.dataPoints[0]?.value).toBe(1);
  expect(byName.get('http.client.request.duration.sum')?.dataPoints[0]?.value).toBe(0.06);
  expect(byName.get('mesh.client.attempts')?.dataPoints[0]).toMatchObject({
    value: 1,
    attributes: { 'mesh.outcome': 'success' },
  });
  expect(byName.get('mesh.pool.connections')?.dataPoints[0]).toMatchObject({ value: 4, attributes: { cluster: 'c' } });
});

test('asking for the producer ends the observable instruments, so that nothing is exported twice', async () => {
  const reader = new HandReader();
  api.metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  const mesh = observability();
  mesh.meter.callFinished(finished());
  mesh.metricProducer();
  mesh.meter.callFinished(finished());
  const { resourceMetrics } = await reader.collect();
  expect(metricsOf(resourceMetrics).flatMap(({ dataPoints }): unknown[] => dataPoints)).toEqual([]);
});

test('after close nothing is observed any more', async () => {
  const reader = new HandReader();
  api.metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  const clock = new FakeClock();
  const mesh = observability(clock);
  mesh.meter.callFinished(finished());
  await mesh.close();
  mesh.meter.callFinished(finished());
  const { resourceMetrics } = await reader.collect();
  expect(metricsOf(resourceMetrics).flatMap(({ dataPoints }): unknown[] => dataPoints)).toEqual([]);
  expect(clock.pending).toBe(0);
});
