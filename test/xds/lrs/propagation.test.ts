import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BackendMetrics } from '../../../src/core/orca.js';
import { MAX_METRICS, MetricSums } from '../../../src/xds/lrs/metric-sums.js';
import { Propagation } from '../../../src/xds/lrs/propagation.js';
import { NO_METRICS } from '../../support/backend-metrics.js';

function sums(names: readonly string[], ...replies: Partial<BackendMetrics>[]): Record<string, [number, number]> {
  const propagation = new Propagation(names);
  const collected = new MetricSums();
  for (const reply of replies) propagation.record({ ...NO_METRICS, ...reply }, collected);
  return Object.fromEntries([...collected.take()].map(([name, { requests, total }]) => [name, [requests, total]]));
}

test('the example of gRFC A64 adds up as it is written there, under the names of A85', () => {
  const replies = [{ namedMetrics: { key1: 1, key2: 2 } }, { namedMetrics: { key2: 3, key3: 4 } }, {}];
  expect(sums(['named_metrics.*'], ...replies)).toEqual({
    'named_metrics.key1': [1, 1],
    'named_metrics.key2': [2, 5],
    'named_metrics.key3': [1, 4],
  });
});

test('A85: without lrs_report_endpoint_metrics nothing is propagated, and nothing need be read', () => {
  expect(new Propagation([]).empty).toBe(true);
  expect(sums([], { cpuUtilization: 0.5, namedMetrics: { a: 1 } })).toEqual({});
});

test('A85: a single named metric is propagated, and no other', () => {
  expect(sums(['named_metrics.a'], { namedMetrics: { a: 1, b: 2 } })).toEqual({ 'named_metrics.a': [1, 1] });
});

test('A85: a named metric that the backend did not send counts for no request', () => {
  expect(sums(['named_metrics.a'], { namedMetrics: {} }, { namedMetrics: { a: 3 } })).toEqual({
    'named_metrics.a': [1, 3],
  });
});

test('A85: the three utilizations are propagated by name', () => {
  const reply = { cpuUtilization: 0.25, memUtilization: 0.5, applicationUtilization: 0.75 };
  expect(sums(['cpu_utilization', 'application_utilization'], reply, reply)).toEqual({
    cpu_utilization: [2, 0.5],
    application_utilization: [2, 1.5],
  });
  expect(sums(['mem_utilization'], reply)).toEqual({ mem_utilization: [1, 0.5] });
});

test('Envoy: the other fields of an ORCA report go by their names too', () => {
  const reply = { rps: 7, eps: 1, utilization: { disk: 0.5 }, requestCost: { bytes: 3487 } };
  expect(sums(['rps_fractional', 'eps', 'utilization.disk', 'request_cost.*'], reply)).toEqual({
    rps_fractional: [1, 7],
    eps: [1, 1],
    'utilization.disk': [1, 0.5],
    'request_cost.bytes': [1, 3487],
  });
});

test('A85: names that match no field are ignored', () => {
  const names = ['unknown_field', 'named_metrics', '.a', '', 'constructor', '__proto__.a', 'cpu_utilization.*'];
  expect(new Propagation(names).empty).toBe(true);
});

test('a key is everything after the first dot', () => {
  expect(sums(['named_metrics.a.b'], { namedMetrics: { 'a.b': 1, a: 2 } })).toEqual({ 'named_metrics.a.b': [1, 1] });
});

test('what a backend did not name itself is not found on its objects', () => {
  expect(sums(['named_metrics.toString'], { namedMetrics: {} })).toEqual({});
});

test('a number that is none spoils no sum', () => {
  const replies = [Number.NaN, Number.POSITIVE_INFINITY, 2].map((a) => ({ namedMetrics: { a } }));
  expect(sums(['named_metrics.a'], ...replies)).toEqual({ 'named_metrics.a': [1, 2] });
});

test('a backend that makes up names makes no more than the limit', () => {
  const many = Object.fromEntries(Array.from({ length: MAX_METRICS + 50 }, (_, i) => [`m${i}`, 1]));
  expect(Object.keys(sums(['named_metrics.*'], { namedMetrics: many })).length).toBe(MAX_METRICS);
});

test('any list of names and any reply are dealt with, and every sum is of a name that was asked for', () => {
  const name = fc.oneof(
    fc.string(),
    fc.string().map((key) => `named_metrics.${key}`),
    fc.constantFrom('cpu_utilization', 'named_metrics.*', 'utilization.*'),
  );
  const values = fc.dictionary(fc.string(), fc.double());
  fc.assert(
    fc.property(fc.array(name), values, values, (names, namedMetrics, utilization) => {
      for (const found of Object.keys(sums(names, { namedMetrics, utilization }))) {
        const field = found.slice(0, found.indexOf('.') + 1);
        expect(names.includes(found) || names.includes(`${field}*`)).toBe(true);
      }
    }),
  );
});
