import * as api from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Ambient, withAmbient } from '../../src/core/ambient.js';
import { CallRecord } from '../../src/core/call.js';
import { CancelledError, ConfigUnavailableError } from '../../src/core/errors.js';
import { headerFields } from '../../src/core/headers.js';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { OtelLink } from '../../src/observability/otel/link.js';
import { MeshTracer } from '../../src/observability/trace/tracer.js';
import { aCall } from '../support/calls.js';
import { finished } from '../support/finished.js';

const exporter = new InMemorySpanExporter();
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const served: Ambient = {
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
  traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
  tracestate: 'vendor=1',
  baggage: 'user=7',
};

beforeEach(() => {
  exporter.reset();
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  api.propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
});

afterEach(() => {
  api.trace.disable();
  api.context.disable();
  api.propagation.disable();
});

const tracer = () => new MeshTracer(new OtelLink(api, silentLogger), seededRandom(1), 'sampled');

/** Runs one attempt of what `init` describes and gives the span that it left. */
function spanOf(init: Parameters<typeof finished>[0]) {
  const over = finished(init);
  tracer().attempt(over.call)?.finished(over);
  return exporter.getFinishedSpans()[0];
}

describe('an HTTP attempt', () => {
  test('leaves a CLIENT span with the attributes of the conventions', () => {
    const span = spanOf({
      call: { authority: 'reviews:8080', path: '/v1/reviews?sig=secret&page=2' },
      record: { endpoint: '10.0.0.7:9001', route: 'r', cluster: 'reviews-v1', version: 'v1' },
    });
    expect(span?.name).toBe('GET');
    expect(span?.kind).toBe(api.SpanKind.CLIENT);
    expect(span?.status.code).toBe(api.SpanStatusCode.UNSET);
    expect(span?.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': 'reviews',
      'server.port': 8080,
      'url.full': 'http://reviews:8080/v1/reviews?sig=REDACTED&page=2',
      'http.response.status_code': 200,
      'network.peer.address': '10.0.0.7',
      'network.peer.port': 9001,
      'mesh.route': 'r',
      'mesh.cluster': 'reviews-v1',
      'mesh.version': 'v1',
    });
  });

  test('a 4xx or 5xx is an error without a description', () => {
    const span = spanOf({ status: 404 });
    expect(span?.status).toEqual({ code: api.SpanStatusCode.ERROR });
    expect(span?.attributes).toMatchObject({ 'error.type': '404', 'http.response.status_code': 404 });
  });

  test('a failure without a reply names its code and says why', () => {
    const span = spanOf({ error: new ConfigUnavailableError('no configuration') });
    expect(span?.status).toEqual({ code: api.SpanStatusCode.ERROR, message: 'no configuration' });
    expect(span?.attributes['error.type']).toBe('CONFIG_UNAVAILABLE');
  });

  test('a caller that gave up leaves the status unset', () => {
    const span = spanOf({ error: new CancelledError() });
    expect(span?.status.code).toBe(api.SpanStatusCode.UNSET);
    expect(span?.attributes).not.toHaveProperty('error.type');
  });

  test('a method that nobody knows is HTTP by name and _OTHER by attribute', () => {
    const span = spanOf({ call: { method: 'BREW' } });
    expect(span?.name).toBe('HTTP');
    expect(span?.attributes).toMatchObject({ 'http.request.method': '_OTHER', 'http.request.method_original': 'BREW' });
  });

  test('IPv6 endpoints lose their brackets', () => {
    expect(spanOf({ record: { endpoint: '[::1]:9001' } })?.attributes).toMatchObject({
      'network.peer.address': '::1',
      'network.peer.port': 9001,
    });
  });
});

describe('a gRPC attempt', () => {
  const call = { protocol: 'grpc', method: 'POST', path: '/shop.Reviews/List' } as const;

  test('is named by its method and has the status as a name', () => {
    const span = spanOf({ call, end: { trailers: headerFields({ 'grpc-status': '0' }) } });
    expect(span?.name).toBe('shop.Reviews/List');
    expect(span?.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': 'shop.Reviews/List',
      'rpc.status_code': 'OK',
      'server.address': 'reviews',
    });
    expect(span?.status.code).toBe(api.SpanStatusCode.UNSET);
  });

  test('every status but OK is an error', () => {
    const span = spanOf({ call, end: { trailers: headerFields({ 'grpc-status': '5' }) } });
    expect(span?.attributes).toMatchObject({ 'rpc.status_code': 'NOT_FOUND', 'error.type': 'NOT_FOUND' });
    expect(span?.status.code).toBe(api.SpanStatusCode.ERROR);
  });
});

describe('the trace', () => {
  test('goes on from the active span, through the registered propagator', () => {
    const parent = api.trace.getTracer('app').startSpan('work');
    const call = aCall();
    api.context.with(api.trace.setSpan(api.context.active(), parent), () => tracer().attempt(call));
    const { traceId } = parent.spanContext();
    expect(call.headers.traceparent).toBe(`00-${traceId}-${call.record.spanId}-01`);
    expect(call.record.traceId).toBe(traceId);
    expect(call.record.spanId).not.toBe(parent.spanContext().spanId);
  });

  test('goes on from the request being served when no span is active', () => {
    const call = aCall();
    const over = finished();
    withAmbient(served, () =>
      tracer()
        .attempt(call)
        ?.finished({ ...over, call }),
    );
    const span = exporter.getFinishedSpans()[0];
    expect(span?.parentSpanContext).toMatchObject({ traceId: TRACE, spanId: '00f067aa0ba902b7', isRemote: true });
    expect(call.headers).toMatchObject({ tracestate: 'vendor=1', baggage: 'user=7' });
    expect(call.headers.traceparent).toBe(`00-${TRACE}-${span?.spanContext().spanId}-01`);
  });

  test('attempts of a call are siblings, and later ones say how many came before', () => {
    const call = aCall();
    const shared = tracer();
    withAmbient(served, () => {
      for (const number of [1, 2, 3]) {
        const attempt = call.attemptOf(number, undefined);
        shared.attempt(attempt)?.finished({ ...finished(), call: attempt });
      }
    });
    const spans = exporter.getFinishedSpans();
    expect(spans.map((span) => span.parentSpanContext?.spanId)).toEqual(Array(3).fill('00f067aa0ba902b7'));
    expect(spans.map((span) => span.attributes['http.request.resend_count'])).toEqual([undefined, 1, 2]);
  });

  test('attempts that are under way at once are siblings, too, or linked where they have no parent', () => {
    const shared = tracer();
    const hedged = () => {
      const call = aCall();
      const { record } = call;
      for (const number of [1, 2]) {
        const attempt = call.attemptOf(number, undefined);
        attempt.record = Object.assign(new CallRecord(), record, { whole: record });
        shared.attempt(attempt)?.finished({ ...finished(), call: attempt });
      }
    };
    withAmbient(served, hedged);
    hedged();
    const [first, second, third, fourth] = exporter.getFinishedSpans();
    for (const span of [first, second]) expect(span?.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
    expect(fourth?.parentSpanContext).toBeUndefined();
    expect(fourth?.links[0]?.context).toMatchObject({ spanId: third?.spanContext().spanId });
  });

  test('attempts without any parent are linked', () => {
    const call = aCall();
    const shared = tracer();
    for (const number of [1, 2]) {
      const attempt = call.attemptOf(number, undefined);
      shared.attempt(attempt)?.finished({ ...finished(), call: attempt });
    }
    const [first, second] = exporter.getFinishedSpans();
    expect(second?.parentSpanContext).toBeUndefined();
    expect(second?.links[0]?.context).toMatchObject({ spanId: first?.spanContext().spanId });
  });

  test('an SDK without a propagator still gets the W3C header', () => {
    api.propagation.disable();
    const call = aCall();
    withAmbient(served, () => tracer().attempt(call));
    expect(call.headers).toMatchObject({
      traceparent: `00-${TRACE}-${call.record.spanId}-01`,
      tracestate: 'vendor=1',
      baggage: 'user=7',
    });
  });

  test('a span that is not sampled is not recorded, but its context is sent', () => {
    const call = aCall({ headers: headerFields({ traceparent: `00-${TRACE}-00f067aa0ba902b7-00` }) });
    expect(tracer().attempt(call)).toBeUndefined();
    expect(call.headers.traceparent).toBe(`00-${TRACE}-${call.record.spanId}-00`);
  });
});

describe('finding the SDK', () => {
  test('one that is registered after the mesh was made is found, without being handed in', async () => {
    api.trace.disable();
    const late = new MeshTracer(new OtelLink(undefined, silentLogger), seededRandom(1), 'sampled');
    expect(late.attempt(aCall())).toBeUndefined();
    api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    await expect.poll(() => late.attempt(aCall())).toBeDefined();
  });

  test('without one nothing is recorded and the context is carried on all the same', () => {
    api.trace.disable();
    const call = aCall();
    expect(withAmbient(served, () => tracer().attempt(call))).toBeUndefined();
    expect(call.headers.traceparent).toBe(served.traceparent);
  });
});
