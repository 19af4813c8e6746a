import { afterEach, expect, test } from 'vitest';
import { withAmbient } from '../../src/core/ambient.js';
import { inboundContext } from '../../src/server/context.js';
import { FakeClock, settle, type TestMesh, testMesh } from '../../src/testing/index.js';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

let mesh: TestMesh;
afterEach(() => mesh.close());

test('calls made while a request is served carry its trace and baggage, and what is left of its time less what it keeps', async () => {
  const clock = new FakeClock();
  mesh = testMesh({ clock, services: { ratings: () => new Response(), details: () => new Response() } });
  const inbound = inboundContext(
    { traceparent: TRACEPARENT, tracestate: 'vendor=1', baggage: 'user=7', 'x-envoy-expected-rq-timeout-ms': '1000' },
    clock,
  );
  await withAmbient(inbound, async () => {
    await mesh.fetch('http://ratings/');
    await clock.advance(400);
    await mesh.fetch('http://details/');
  });
  const sent = mesh.requests.map(({ request }) => Object.fromEntries(request.headers));
  expect(sent).toMatchObject([
    { traceparent: TRACEPARENT, tracestate: 'vendor=1', baggage: 'user=7', 'x-envoy-expected-rq-timeout-ms': '995' },
    { traceparent: TRACEPARENT, tracestate: 'vendor=1', baggage: 'user=7', 'x-envoy-expected-rq-timeout-ms': '595' },
  ]);
});

test('calls made for a caller that went away are cancelled, at the server too', async () => {
  mesh = testMesh({ services: { ratings: () => new Promise<Response>(() => {}) } });
  const inbound = inboundContext({});
  const call = withAmbient(inbound, () => mesh.fetch('http://ratings/'));
  const failed = expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
  await settle();
  inbound.callerGone();
  await failed;
  expect(mesh.requests[0]?.call.cancellation.cancelled).toBe(true);
});
