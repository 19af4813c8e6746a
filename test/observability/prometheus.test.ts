import { expect, test } from 'vitest';
import { collect } from '../../src/observability/metrics/collect.js';
import { prometheusText } from '../../src/observability/metrics/prometheus.js';
import { Registry } from '../../src/observability/metrics/registry.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

function registry(): Registry {
  const meter = new Registry({ clock: new FakeClock() });
  meter.attemptFinished(finished({ durationMs: 60 }));
  meter.attemptFinished(finished({ durationMs: 20_000 }));
  meter.event({ kind: 'retry', cluster: 'c', reason: '5xx' });
  return meter;
}

test('histograms are cumulative, in seconds, and end at +Inf', () => {
  const lines = prometheusText(collect(registry(), 0)).split('\n');
  const labels = 'http_request_method="GET",server_address="reviews",server_port="80",http_response_status_code="200"';
  const name = 'http_client_request_duration_seconds';
  expect(lines).toContain(`# TYPE ${name} histogram`);
  expect(lines).toContain(`${name}_bucket{${labels},le="0.05"} 0`);
  expect(lines).toContain(`${name}_bucket{${labels},le="0.075"} 1`);
  expect(lines).toContain(`${name}_bucket{${labels},le="10.0"} 1`);
  expect(lines).toContain(`${name}_bucket{${labels},le="+Inf"} 2`);
  expect(lines).toContain(`${name}_count{${labels}} 2`);
  expect(lines).toContain(`${name}_sum{${labels}} 20.06`);
});

test('counters end in _total', () => {
  const text = prometheusText(collect(registry(), 0));
  expect(text).toContain('# TYPE mesh_client_retries_total counter\n');
  expect(text).toContain('mesh_client_retries_total{mesh_cluster="c",mesh_retry_reason="5xx"} 1\n');
});

test('OpenMetrics names counters without the suffix, gives units and ends with EOF', () => {
  const text = prometheusText(collect(registry(), 0), 'openmetrics');
  expect(text).toContain('# TYPE mesh_client_retries counter\n');
  expect(text).toContain('mesh_client_retries_total{mesh_cluster="c",mesh_retry_reason="5xx"} 1\n');
  expect(text).toContain('# UNIT http_client_request_duration_seconds seconds\n');
  expect(text.endsWith('# EOF\n')).toBe(true);
});

test('every line is of the form that the format allows, whatever the labels hold', () => {
  const meter = registry();
  const nasty = 'a"b\\c\nd{e}f=1,\u0000';
  meter.attemptFinished(finished({ call: { authority: nasty } }));
  meter.gauge('mesh.odd-name.1', { 'bad label': nasty }, () => 1.5);
  const sample = /^[a-zA-Z_][a-zA-Z0-9_]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.e+-]+$/;
  for (const line of prometheusText(collect(meter, 0)).trimEnd().split('\n')) {
    if (!line.startsWith('#')) expect(line).toMatch(sample);
  }
});
