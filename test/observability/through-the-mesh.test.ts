import * as api from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, expect, test } from 'vitest';
import { settle, type TestMesh, testMesh } from '../../src/testing/index.js';

let mesh: TestMesh;
afterEach(async () => {
  await mesh.close();
  api.trace.disable();
  api.context.disable();
  api.propagation.disable();
});

/** A service whose first answer is 503. */
function flaky() {
  let calls = 0;
  return () => (calls++ === 0 ? new Response(null, { status: 503 }) : new Response('ok'));
}

test('a retried call is one row of statistics, two attempts in metrics, and one duration', async () => {
  mesh = testMesh({ services: { reviews: flaky() } });
  await (await mesh.fetch('http://reviews/')).text();
  expect(mesh.stats().rows).toMatchObject([{ service: 'reviews', requests: 1, failures: 0, retries: 1 }]);
  const text = mesh.prometheus();
  expect(text).toMatch(/http_client_request_duration_seconds_count\{[^}]*http_response_status_code="503"[^}]*\} 1\n/);
  expect(text).toMatch(/http_client_request_duration_seconds_count\{[^}]*http_response_status_code="200"\} 1\n/);
  expect(text).toMatch(/mesh_client_call_duration_seconds_count\{[^}]*mesh_outcome="success"\} 1\n/);
  expect(text).toMatch(/mesh_client_retries_total\{[^}]*\} 1\n/);
});

test('its attempts are sibling spans under the active one, each sent with its own id', async () => {
  const exporter = new InMemorySpanExporter();
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  mesh = testMesh({ services: { reviews: flaky() } });
  const parent = api.trace.getTracer('app').startSpan('work');
  // The mesh loads the API when it sees that somebody has registered an SDK.
  await import('@opentelemetry/api').then(settle);
  await api.context.with(api.trace.setSpan(api.context.active(), parent), async () => {
    await (await mesh.fetch('http://reviews/')).text();
  });
  const spans = exporter.getFinishedSpans();
  expect(spans.map((span) => span.attributes['http.response.status_code'])).toEqual([503, 200]);
  for (const span of spans) expect(span.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
  expect(mesh.requests.map(({ request }) => request.headers.get('traceparent')?.slice(36, 52))).toEqual(
    spans.map((span) => span.spanContext().spanId),
  );
});
