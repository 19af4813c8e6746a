import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ambient, withAmbient } from '../../src/core/ambient.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { createScope } from '../../src/mesh/scope.js';
import { workDeadline } from '../../src/resilience/deadline/reserve.js';
import { inboundContext } from '../../src/server/context.js';
import { requestMetrics } from '../../src/server/orca/current.js';
import { RequestMetrics } from '../../src/server/orca/request-metrics.js';
import { FakeClock, settle, type TestMesh, testMesh } from '../../src/testing/index.js';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

let mesh: TestMesh | undefined;
afterEach(() => mesh?.close());

function aMesh() {
  const clock = new FakeClock();
  mesh = testMesh({ clock, services: { ratings: () => new Response(), stuck: () => new Promise<Response>(() => {}) } });
  const inbound = (ms: number) => inboundContext({ 'inmesh-timeout-ms': String(ms), traceparent: TRACEPARENT }, clock);
  const told = () => mesh?.requests.map(({ request }) => request.headers.get('inmesh-timeout-ms'));
  return { clock, mesh, inbound, told };
}

describe('mesh.withDeadline', () => {
  test('limits all calls of the work together', async () => {
    const { clock, mesh, told } = aMesh();
    await mesh.withDeadline(300, async () => {
      await mesh.fetch('http://ratings/');
      await clock.advance(200);
      await mesh.fetch('http://ratings/');
      const stuck = expect(mesh.fetch('http://stuck/')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      await clock.advance(104);
      await stuck;
    });
    expect(told()).toEqual(['300', '100', '100']);
  });

  test('narrows what is left to the request, from which the reserve is taken, and never widens it', async () => {
    const { inbound, mesh, told } = aMesh();
    await withAmbient(inbound(1_000), async () => {
      for (const ms of [100, 996, 5_000]) await mesh.withDeadline(ms, () => mesh.fetch('http://ratings/'));
      await mesh.withDeadline(100, () => mesh.withDeadline(500, () => mesh.fetch('http://ratings/')));
      await mesh.fetch('http://ratings/', { mesh: { timeoutMs: 50 } });
    });
    expect(told()).toEqual(['100', '995', '995', '100', '50']);
  });

  test('tells those who listen to the signal in the context of their request', async () => {
    const clock = new FakeClock();
    const scope = createScope({ clock, deadlines: new Deadlines(clock) });
    const requests = [1_000, 1_000].map((ms) => inboundContext({ 'inmesh-timeout-ms': String(ms) }, clock));
    const seen: unknown[] = [];
    for (const context of requests) {
      withAmbient(context, () => scope.signal().addEventListener('abort', () => seen.push(ambient())));
    }
    await clock.advance(1_100);
    expect(seen).toEqual(requests);
    expect(seen[1]).toBe(requests[1]);
  });

  test('nested in any way, the least counts', () => {
    const clock = new FakeClock();
    const scope = createScope({ clock, deadlines: new Deadlines(clock) });
    const limits = fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { maxLength: 6 });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1_000_000 }), limits, (allowed, nested) => {
        const context = inboundContext({ 'inmesh-timeout-ms': String(allowed) }, clock);
        const inside = (rest: readonly number[]): number => {
          const [ms, ...more] = rest;
          if (ms !== undefined) return scope.withDeadline(ms, () => inside(more));
          return workDeadline(ambient() ?? context, undefined);
        };
        const least = Math.min(workDeadline(context, undefined), ...nested.map((ms) => clock.now() + ms));
        expect(withAmbient(context, () => inside(nested))).toBe(least);
      }),
    );
  });

  test('gives back what the work does, and refuses what is no time', () => {
    const { mesh } = aMesh();
    expect(mesh.withDeadline(1, () => 'done')).toBe('done');
    for (const ms of [0, -1, Number.NaN]) expect(() => mesh.withDeadline(ms, () => {})).toThrow(`above 0, got ${ms}`);
    expect(() => mesh.withDeadline('50' as never, () => {})).toThrow('must be a number above 0, got "50"');
  });
});

describe('mesh.detach', () => {
  test('leaves deadline and cancellation behind, and keeps the trace and the priority', async () => {
    const { clock, mesh } = aMesh();
    const context = inboundContext(
      { 'inmesh-timeout-ms': '100', traceparent: TRACEPARENT, baggage: 'user=7', 'inmesh-priority': 'batch' },
      clock,
    );
    await withAmbient(context, async () => {
      context.callerGone();
      await clock.advance(200);
      await expect(mesh.fetch('http://ratings/')).rejects.toMatchObject({ code: 'CANCELLED' });
      expect((await mesh.detach(() => mesh.fetch('http://ratings/'))).status).toBe(200);
    });
    expect(mesh.requests.length).toBe(1);
    const headers = Object.fromEntries(mesh.requests[0]?.request.headers ?? []);
    expect(headers).toMatchObject({ traceparent: TRACEPARENT, baggage: 'user=7', 'inmesh-priority': 'batch' });
    expect(headers).not.toHaveProperty('inmesh-timeout-ms');
  });

  test('can have a time limit of its own', async () => {
    const { inbound, mesh, told } = aMesh();
    await withAmbient(inbound(100), () =>
      mesh.detach(() => mesh.withDeadline(5_000, () => mesh.fetch('http://ratings/'))),
    );
    expect(told()).toEqual(['5000']);
  });

  test('is nothing outside of a request', () => {
    const { mesh } = aMesh();
    expect(mesh.detach(() => 'done')).toBe('done');
  });
});

describe('mesh.signal', () => {
  test('fires when the caller goes away, with the reason', () => {
    const { inbound, mesh } = aMesh();
    const context = inbound(1_000);
    const signal = withAmbient(context, () => mesh.signal());
    expect(signal.aborted).toBe(false);
    context.callerGone();
    expect(signal.reason).toMatchObject({ code: 'CANCELLED' });
    expect(withAmbient(context, () => mesh.signal()).aborted).toBe(true);
  });

  test('fires when the time is up: that of the request less its reserve, or less where the work was given less', async () => {
    const { clock, inbound, mesh } = aMesh();
    const context = inbound(1_000);
    const narrow = withAmbient(context, () => mesh.withDeadline(100, () => mesh.signal()));
    const whole = withAmbient(context, () => mesh.signal());
    await clock.advance(104);
    expect([narrow.reason, whole.aborted]).toMatchObject([{ code: 'DEADLINE_EXCEEDED' }, false]);
    await clock.advance(895);
    expect(whole.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('does not fire once the request has been answered, nor in detached work or outside of a request', async () => {
    const { clock, inbound, mesh } = aMesh();
    const context = inbound(100);
    const answered = withAmbient(context, () => mesh.signal());
    const detached = withAmbient(context, () => mesh.detach(() => mesh.signal()));
    const limited = withAmbient(context, () => mesh.detach(() => mesh.withDeadline(50, () => mesh.signal())));
    const outside = mesh.signal();
    context.over();
    await clock.advance(1_000);
    expect([answered.aborted, detached.aborted, outside.aborted]).toEqual([false, false, false]);
    // Detached work has its own time, after the answer as before.
    expect(limited.aborted).toBe(true);
  });

  test('composes with a signal of the application, on calls as well', async () => {
    const { inbound, mesh } = aMesh();
    const own = new AbortController();
    const context = inbound(1_000);
    const [byOwn, byCaller] = withAmbient(context, () => [
      expect(mesh.fetch('http://stuck/', { signal: own.signal })).rejects.toThrow('enough'),
      expect(mesh.fetch('http://stuck/', { signal: new AbortController().signal })).rejects.toMatchObject({
        code: 'CANCELLED',
      }),
    ]);
    await settle();
    own.abort(new Error('enough'));
    await byOwn;
    expect(mesh.requests.map(({ call }) => call.cancellation.cancelled)).toEqual([true, false]);
    context.callerGone();
    await byCaller;
  });

  test('is one for each context, so that a stream of a thousand messages has one', () => {
    const { inbound, mesh } = aMesh();
    withAmbient(inbound(1_000), () => {
      const signal = mesh.signal();
      for (let i = 0; i < 1_000; i++) expect(mesh.signal()).toBe(signal);
      expect(mesh.withDeadline(10, () => mesh.signal())).not.toBe(signal);
    });
  });

  test('of work that was given less time holds nothing of a long request once that time is up', async () => {
    const { clock, inbound, mesh } = aMesh();
    const context = inbound(3_600_000);
    const listeners = new Set<() => void>();
    const { onOver, offOver } = context;
    context.onOver = (listener) => {
      listeners.add(listener);
      onOver.call(context, listener);
    };
    context.offOver = (listener) => {
      listeners.delete(listener);
      offOver.call(context, listener);
    };
    for (let i = 0; i < 100; i++) withAmbient(context, () => mesh.withDeadline(10, () => mesh.signal()));
    expect(listeners.size).toBe(100);
    await clock.advance(20);
    expect(listeners.size).toBe(0);
  });

  test('leaves no timer behind', async () => {
    const { clock, inbound, mesh } = aMesh();
    const context = inbound(60_000);
    for (let i = 0; i < 100; i++) withAmbient(context, () => mesh.withDeadline(50_000, () => mesh.signal()));
    context.over();
    await mesh.close();
    expect(clock.pending).toBe(0);
  });
});

test('what a request costs is recorded with the request, also in work that was narrowed or detached', () => {
  const { inbound, mesh } = aMesh();
  const context = inbound(1_000);
  context.metrics = new RequestMetrics();
  withAmbient(context, () => {
    expect(mesh.withDeadline(10, () => requestMetrics())).toBe(context.metrics);
    expect(mesh.detach(() => mesh.withDeadline(10, () => requestMetrics()))).toBe(context.metrics);
  });
});
