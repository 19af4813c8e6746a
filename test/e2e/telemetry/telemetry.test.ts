import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { IncomingHttpHeaders as Http2Headers, ServerHttp2Stream } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import * as api from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';
import { http2Server } from '../../support/http2-fixture.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { ECHO } from '../support/backend.js';
import { portOf } from '../support/faces.js';
import { collectingLogger, Opened, WAIT } from '../robustness/support.js';

/* One call by fetch and one by gRPC, each with one retry, on real sockets, with the OpenTelemetry SDK of an application. */

class HandReader extends MetricReader {
  protected override onShutdown = async (): Promise<void> => {};
  protected override onForceFlush = async (): Promise<void> => {};
}

const opened = new Opened();
let exporter: InMemorySpanExporter;
let lines: string[];
let mesh: Mesh;
/** What the servers got, attempt by attempt. */
let got: (IncomingHttpHeaders | Http2Headers)[];
let ports: { http: number; grpc: number };

beforeEach(async () => {
  exporter = new InMemorySpanExporter();
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  got = [];
  lines = [];
  ports = { http: await flakyHttp(), grpc: await flakyGrpc() };
  const file = await opened.file(
    `${serviceYaml('reviews', `endpoints: ["127.0.0.1:${ports.http}"]`)}${serviceYaml('echo', `endpoints: ["127.0.0.1:${ports.grpc}"]`)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews-route }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }] }]
`,
  );
  mesh = opened.add(
    meshClient({
      service: 'web',
      config: file.path,
      logger: collectingLogger(),
      accessLog: (line) => lines.push(line),
    }),
    (each) => each.close(),
  );
  await mesh.ready();
});
afterEach(async () => {
  await opened.close();
  api.trace.disable();
  api.context.disable();
  api.propagation.disable();
  api.metrics.disable();
});

/** Its first answer is 503. */
async function flakyHttp(): Promise<number> {
  let asked = 0;
  const server = createServer((request, response) => {
    got.push(request.headers);
    asked++;
    if (request.url === '/cut')
      response.writeHead(200, { 'content-length': '10' }).write('half', () => request.socket.destroy());
    else response.writeHead(asked === 1 ? 503 : 200, { 'content-type': 'text/plain' }).end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.add(server, (each) => each.close().closeAllConnections());
  return portOf(server.address());
}

/** It refuses its first stream. */
async function flakyGrpc(): Promise<number> {
  const running = opened.add(await http2Server(), (each) => each.close());
  let asked = 0;
  running.server.on('stream', (stream: ServerHttp2Stream, headers) => {
    got.push(headers);
    if (asked++ === 0) return stream.close(7);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x7b, 0x7d]));
  });
  return running.port;
}

const get = (authority: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const client = mesh.grpc(grpc.makeGenericClientConstructor(ECHO, 'Echo'), authority);
    const call = client['get'] as (request: unknown, done: (error: Error | null, reply: unknown) => void) => void;
    call.call(client, {}, (error, reply) => (error === null ? resolve(reply) : reject(error)));
  });

const http = async (): Promise<void> => {
  expect(await (await mesh.fetch('http://reviews/list?sig=secret')).text()).toBe('hello');
};
const rpc = async (): Promise<void> => {
  expect(await get('echo')).toEqual({});
};

/** Makes `call` as part of a span of the application, with baggage, and gives that span. */
async function traced(call: () => Promise<void>): Promise<ReadableSpan> {
  const parent = api.trace.getTracer('app').startSpan('work');
  const baggage = api.propagation.createBaggage({ user: { value: '7' } });
  const context = api.propagation.setBaggage(api.trace.setSpan(api.context.active(), parent), baggage);
  await api.context.with(context, call);
  parent.end();
  await vi.waitFor(() => expect(exporter.getFinishedSpans()).toHaveLength(3), WAIT);
  return exporter.getFinishedSpans().find(({ name }) => name === 'work') as ReadableSpan;
}

const entries = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line) as Record<string, unknown>);

describe.each([
  {
    face: 'fetch',
    call: http,
    spanName: 'GET',
    attributes: [
      {
        'http.request.method': 'GET',
        'http.response.status_code': 503,
        'error.type': '503',
        'server.address': 'reviews',
      },
      { 'http.request.method': 'GET', 'http.response.status_code': 200, 'http.request.resend_count': 1 },
    ],
  },
  {
    face: 'gRPC',
    call: rpc,
    spanName: 'test.Echo/Get',
    attributes: [{ 'rpc.method': 'test.Echo/Get', 'error.type': 'STREAM_REFUSED' }, { 'rpc.method': 'test.Echo/Get' }],
  },
])('a call by $face that is retried once', ({ face, call, spanName, attributes }) => {
  test('is two sibling spans of kind CLIENT under the active one, and each attempt carries its own on the wire', async () => {
    const parent = await traced(call);
    const spans = exporter.getFinishedSpans().filter((span) => span !== parent);
    expect(spans.map(({ name, kind }) => ({ name, kind }))).toEqual(
      Array(2).fill({ name: spanName, kind: api.SpanKind.CLIENT }),
    );
    for (const span of spans) {
      expect(span.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
      expect(span.spanContext().traceId).toBe(parent.spanContext().traceId);
    }
    expect(spans.map((span) => span.attributes)).toMatchObject(attributes);
    expect(spans.map((span) => span.status.code)).toEqual([api.SpanStatusCode.ERROR, api.SpanStatusCode.UNSET]);
    expect(got.map((headers) => headers['traceparent'])).toEqual(
      spans.map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`),
    );
    expect(got.map((headers) => headers['baggage'])).toEqual(['user=7', 'user=7']);
    expect(JSON.stringify(spans.map((span) => span.attributes))).not.toContain('secret');
  });

  test('is one line in the access log, complete and right', async () => {
    const parent = await traced(call);
    await vi.waitFor(() => expect(lines).toHaveLength(1), WAIT);
    const [entry] = entries();
    const isGrpc = face === 'gRPC';
    const last = exporter.getFinishedSpans().filter((span) => span !== parent)[1];
    expect(entry).toMatchObject({
      source: 'web',
      destination: isGrpc ? 'echo' : 'reviews',
      protocol: isGrpc ? 'grpc' : 'http',
      method: isGrpc ? 'POST' : 'GET',
      url: isGrpc ? 'http://echo/test.Echo/Get' : 'http://reviews/list?sig=REDACTED',
      status: 200,
      bytes_sent: isGrpc ? 7 : 0,
      bytes_received: isGrpc ? 7 : 5,
      attempts: 2,
      endpoint: `127.0.0.1:${isGrpc ? ports.grpc : ports.http}`,
      trace_id: parent.spanContext().traceId,
      span_id: last?.spanContext().spanId,
    });
    expect(entry?.['grpc_status']).toBe(isGrpc ? 0 : undefined);
    expect(entry).not.toHaveProperty('error');
    expect(String(entry?.['cluster'])).toContain(isGrpc ? 'echo' : 'reviews');
    expect(String(entry?.['route'])).toContain(isGrpc ? 'default' : 'reviews-route');
    expect(entry?.['duration_ms']).toBeGreaterThan(0);
    expect(new Date(String(entry?.['time'])).getTime()).toBeGreaterThan(0);
    // What the attempt before raised is not the call's (Envoy).
    expect(entry?.['flags']).toBe('');
  });

  test('counts as one call, two attempts and one retry, for Prometheus and for the SDK alike', async () => {
    await call();
    await vi.waitFor(() => expect(lines).toHaveLength(1), WAIT);
    const service = face === 'gRPC' ? 'echo' : 'reviews';
    expect(mesh.stats().rows).toMatchObject([{ service, requests: 1, failures: 0, retries: 1 }]);
    const reader = new HandReader({ metricProducers: [mesh.metricProducer()] });
    const provider = new MeterProvider({ readers: [reader] });
    const { resourceMetrics, errors } = await reader.collect();
    await provider.shutdown();
    expect(errors).toEqual([]);
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
    const points = (name: string) => metrics.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [];
    const count = (name: string): number[] => points(name).map(({ value }) => (value as { count: number }).count);
    expect(count('mesh.client.call.duration')).toEqual([1]);
    expect(points('mesh.client.retries').map(({ value }) => value)).toEqual([1]);
    expect(points('mesh.client.attempts').map(({ value }) => value)).toEqual([1, 1]);
    expect(count(face === 'gRPC' ? 'rpc.client.call.duration' : 'http.client.request.duration')).toEqual(
      face === 'gRPC' ? [1] : [1, 1],
    );
    expect(mesh.prometheus()).toMatch(/^mesh_client_retries_total\{[^}]*\} 1$/m);
  });
});

test('a call without an SDK in sight still passes on the trace that the application set itself', async () => {
  api.trace.disable();
  api.propagation.disable();
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await (await mesh.fetch('http://reviews/', { headers: { traceparent } })).text();
  for (const headers of got)
    expect(headers['traceparent']).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
});

test('calls that fail have a flag, a typed error, and a span that says so', async () => {
  const calls = [
    mesh.fetch('http://reviews/cut').then((response) => response.text()),
    mesh.fetch('http://127.0.0.1:1/'),
    mesh.fetch('http://unknown.invalid/'),
    mesh.fetch('http://reviews/', { signal: AbortSignal.abort() }),
  ];
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
  await vi.waitFor(() => expect(lines.length).toBeGreaterThanOrEqual(3), WAIT);
  const byUrl = (part: string) => entries().find(({ url }) => String(url).includes(part));
  expect(byUrl('/cut')).toMatchObject({
    status: 200,
    flags: 'UC',
    error: { code: 'CONNECTION_LOST', origin: 'network', reached: 'yes' },
  });
  expect(byUrl('127.0.0.1:1')).toMatchObject({
    attempts: 2,
    flags: 'UF,URX',
    error: { code: 'CONNECT_FAILED', origin: 'network', reached: 'no' },
  });
  expect(byUrl('unknown.invalid')).toMatchObject({
    attempts: 0,
    flags: 'NC',
    error: { code: 'CONFIG_UNAVAILABLE', origin: 'mesh', reached: 'no' },
  });
  expect(byUrl('/cut')).not.toHaveProperty('grpc_status');
  const errors = exporter.getFinishedSpans().map((span) => span.attributes['error.type']);
  expect(errors).toEqual(expect.arrayContaining(['CONNECTION_LOST', 'CONNECT_FAILED']));
});
