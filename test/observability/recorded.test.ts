import { expect, test } from 'vitest';
import { DURATION_BOUNDS_S } from '../../src/observability/metrics/histogram.js';
import { RECORDED } from '../../src/observability/metrics/catalogue.js';
import { collect } from '../../src/observability/metrics/collect.js';
import { prometheusText } from '../../src/observability/metrics/prometheus.js';
import { Registry } from '../../src/observability/metrics/registry.js';
import { FakeClock } from '../support/fake-clock.js';

const WEIGHTS = 'grpc.lb.wrr.endpoint_weights';

test('a histogram that others fill has bounds of its own, and only the labels that it is known by', () => {
  const registry = new Registry({ clock: new FakeClock() });
  for (const weight of [0, 7, 7, 250_000]) registry.record(WEIGHTS, { 'mesh.cluster': 'reviews', stray: 'x' }, weight);
  const text = prometheusText(collect(registry, 0)).split('\n');
  expect(text).toContain('grpc_lb_wrr_endpoint_weights_bucket{mesh_cluster="reviews",le="0.0"} 1');
  expect(text).toContain('grpc_lb_wrr_endpoint_weights_bucket{mesh_cluster="reviews",le="10.0"} 3');
  expect(text).toContain('grpc_lb_wrr_endpoint_weights_bucket{mesh_cluster="reviews",le="+Inf"} 4');
  expect(text).toContain('grpc_lb_wrr_endpoint_weights_sum{mesh_cluster="reviews"} 250014');
  expect(text.join()).not.toContain('stray');
});

test('what has no name here, or is no number, is not counted', () => {
  const registry = new Registry({ clock: new FakeClock() });
  registry.record('unheard.of', {}, 1);
  registry.record(WEIGHTS, { 'mesh.cluster': 'reviews' }, Number.NaN);
  const names = collect(registry, 0).map(({ instrument }) => instrument.name);
  expect(names).not.toContain('unheard.of');
  expect(names).not.toContain(WEIGHTS);
});

test('label sets of recorded histograms are bounded like all others', () => {
  const registry = new Registry({ clock: new FakeClock(), maxSeries: 1 });
  for (const cluster of ['a', 'b', 'c']) registry.record(WEIGHTS, { 'mesh.cluster': cluster }, 1);
  const family = collect(registry, 0).find(({ instrument }) => instrument.name === WEIGHTS);
  expect(family?.points.map(({ labels }) => labels)).toEqual([{ 'mesh.cluster': 'a' }, { 'mesh.cluster': 'other' }]);
});

test('every recorded histogram has ascending bounds and at most four attributes', () => {
  for (const { bounds, attributes } of RECORDED) {
    expect(bounds).toEqual([...new Set(bounds)].sort((a, b) => a - b));
    expect(bounds).not.toBe(DURATION_BOUNDS_S);
    expect(attributes.length).toBeLessThanOrEqual(4);
  }
});
