import { describe, expect, test } from 'vitest';
import { FakeClock, settle, testMesh } from '../../../src/testing/index.js';

const HEDGED = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
    - backendRefs: [{ name: reviews, port: 80 }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews }]
  hedge: { delay: 1s, maxExtraPercent: 100 }
`;

const busy = () => new Response(null, { status: 503, headers: { 'retry-after': '5' } });
const never = () => new Promise<Response>(() => {});

// repeat.ts is loaded by the first failure, from a disk that a clock which stands still does not wait for.
await import('../../../src/resilience/retry/repeat.js');

describe('mesh.close()', () => {
  test.each([
    ['that waits to be tried again', undefined, busy],
    ['that is hedged and waits to be tried again', HEDGED, busy],
    ['that is hedged and under way', HEDGED, never],
  ])('ends a call %s, at once, and leaves no timer', async (_, config, handler) => {
    const clock = new FakeClock();
    const mesh = testMesh({ clock, services: { reviews: handler }, ...(config !== undefined && { config }) });
    const call = expect(mesh.fetch('http://reviews/')).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    while (mesh.requests.length === 0) await settle();
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(mesh.requests).toHaveLength(1);
    await mesh.close();
    await call;
    // The reply that was to be replaced is cut off after 100 ms at the latest.
    await clock.advance(100);
    expect(clock.pending).toBe(0);
  });
});
