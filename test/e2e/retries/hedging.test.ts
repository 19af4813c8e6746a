import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock, type TestMesh, testMesh } from '../../../src/testing/index.js';

let mesh: TestMesh;
afterEach(() => mesh.close());

const route = (hedge: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
    - name: all
      backendRefs: [{ name: reviews, port: 80 }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews }]
  hedge: ${hedge}
`;

const never = () => new Promise<Response>(() => {});
const hedges = (): number => Number(/^mesh_client_hedges_total\{[^}]*\} (\d+)/m.exec(mesh.prometheus())?.[1] ?? 0);

describe('a route with hedging', () => {
  test('answers from another endpoint when the first is slow, and tells the first to stop', async () => {
    const clock = new FakeClock();
    let asked = 0;
    const either = () => (asked++ === 0 ? never() : new Response('from the other'));
    mesh = testMesh({
      clock,
      services: { reviews: [either, either] },
      config: route('{ delay: 50ms, maxExtraPercent: 100 }'),
    });
    const answer = mesh.fetch('http://reviews/').then((reply) => reply.text());
    await clock.advance(60);
    expect(await answer).toBe('from the other');
    const [first, second] = mesh.requests;
    expect(first?.call.cancellation.cancelled).toBe(true);
    expect(new Set([first?.endpoint, second?.endpoint])).toEqual(new Set([0, 1]));
    expect(hedges()).toBe(1);
  });

  test('waits for the live p95, and adds no more than its share of load', async () => {
    const clock = new FakeClock();
    let slow = false;
    const answered = () => (slow ? never() : new Response());
    mesh = testMesh({ clock, services: { reviews: [answered, answered] }, config: route('{}') });
    for (let i = 0; i < 100; i++) await mesh.fetch('http://reviews/');
    // What is known is counted anew every 100 ms.
    await clock.advance(100);
    slow = true;
    const calls = Array.from({ length: 20 }, () => mesh.fetch('http://reviews/', { mesh: { timeoutMs: 500 } }));
    await Promise.all([clock.advance(600), Promise.allSettled(calls)]);
    // 5 % of 120 calls.
    expect(mesh.requests).toHaveLength(126);
    expect(hedges()).toBe(6);
  });

  test('sends a POST once', async () => {
    const clock = new FakeClock();
    mesh = testMesh({
      clock,
      services: { reviews: [never, never] },
      config: route('{ delay: 50ms, maxExtraPercent: 100 }'),
    });
    const call = mesh.fetch('http://reviews/', { method: 'POST', body: 'x', mesh: { timeoutMs: 500 } });
    await Promise.all([expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' }), clock.advance(600)]);
    expect(mesh.requests).toHaveLength(1);
  });
});
