import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { FakeClock, type TestMesh, testMesh } from '../../../src/testing/index.js';
import { logNormal } from '../../experiments/support/log-normal.js';

/*
 * One of five endpoints takes 2 s, the others as long as services do (log-normal, median 167 ms), under 200 calls a second. `npm run bench -- hedging` does the
 * same in real time.
 */

let mesh: TestMesh;
afterEach(() => mesh.close());

/** A call in each. */
const TICK_MS = 5;
const SLOW_MS = 2_000;

const config = (balancer: string, hedge: string): string => `
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  loadBalancer: { simple: ${balancer} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews }]
  hedge: ${hedge}
`;

interface Run {
  /** Of the calls made while one was slow. */
  readonly extra: number;
  /** Of all calls. */
  readonly extraOfAll: number;
  readonly p99: number;
  /** Hedges that went to the slow one. */
  readonly again: number;
}

async function run(balancer: string, hedge: string): Promise<Run> {
  const clock = new FakeClock();
  const random = seededRandom(7);
  let slow = false;
  const endpoint = (i: number) => () =>
    new Promise<Response>((resolve) => {
      clock.after(i === 0 && slow ? SLOW_MS : logNormal(167, 0.3, random), () => resolve(new Response()));
    });
  mesh = testMesh({
    clock,
    services: { reviews: [0, 1, 2, 3, 4].map(endpoint) },
    config: config(balancer, hedge),
  });
  await mesh.ready('reviews');
  const latencies: number[] = [];
  const load = async (ms: number): Promise<number> => {
    let calls = 0;
    for (let at = 0; at < ms; at += TICK_MS) {
      const began = clock.now();
      calls++;
      void mesh.fetch('http://reviews/').then(() => slow && latencies.push(clock.now() - began));
      await clock.advance(TICK_MS);
    }
    return calls;
  };
  const learnt = await load(3_000);
  const before = mesh.requests.length - learnt;
  const [first, hedgesBefore] = [mesh.requests.length, before];
  slow = true;
  const calls = await load(5_000);
  await clock.advance(2 * SLOW_MS);
  const hedges = mesh.requests.length - learnt - calls;
  const again = mesh.requests.slice(first).filter(({ attempt, endpoint: to }) => attempt === 2 && to === 0).length;
  latencies.sort((a, b) => a - b);
  return {
    extra: (hedges - hedgesBefore) / calls,
    extraOfAll: hedges / (learnt + calls),
    p99: latencies[Math.ceil(0.99 * latencies.length) - 1] as number,
    again,
  };
}

describe('hedging with one slow endpoint of five', () => {
  test('by a fixed delay and round robin adds a fifth to the load: every call that meets it is hedged, and no hedge meets it again', async () => {
    const { extra, p99, again } = await run('ROUND_ROBIN', '{ delay: 400ms, maxExtraPercent: 30 }');
    // Every call that meets the slow one is hedged, 20 %, and of the others those that take longer than the delay by themselves, 0.2 %. None goes there again.
    expect(again).toBe(0);
    expect(extra).toBeGreaterThanOrEqual(0.195);
    expect(extra).toBeLessThanOrEqual(0.21);
    expect(p99).toBeLessThan(1_000);
  });

  // Of all calls: what is saved while all is well may be used for 10 s.
  test('by the live p95 never adds more than its share, with any balancer', async () => {
    const roundRobin = await run('ROUND_ROBIN', '{}');
    expect(roundRobin.extraOfAll).toBeLessThanOrEqual(0.05);
    await mesh.close();
    const { extraOfAll, p99 } = await run('PEAK_EWMA', '{}');
    expect(extraOfAll).toBeLessThanOrEqual(0.05);
    expect(p99).toBeLessThan(1_000);
  });

  test('by the live p95 brings as much as it is allowed where that helps', async () => {
    const { extraOfAll } = await run('ROUND_ROBIN', '{ maxExtraPercent: 10 }');
    expect(extraOfAll).toBeGreaterThan(0.08);
    expect(extraOfAll).toBeLessThanOrEqual(0.1);
  });
});
