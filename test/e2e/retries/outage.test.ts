import { afterEach, describe, expect, test } from 'vitest';
import { FakeClock, type TestMesh, testMesh } from '../../../src/testing/index.js';
import { RETRIED_ROUTE } from '../../support/retried-route.js';

let mesh: TestMesh;
afterEach(() => mesh.close());

const TICK_MS = 50;
const CALLS_PER_TICK = 5;

describe('an outage of 30 s under a load of 100 calls a second', () => {
  test('brings the service at most 1.2 times that load and the floor of 10 a second, and is over for callers when it is over', async () => {
    const clock = new FakeClock();
    let down = false;
    const answer = () => new Response(null, { status: down ? 503 : 200 });
    mesh = testMesh({ clock, services: { reviews: [answer, answer, answer] }, config: RETRIED_ROUTE });
    const statuses: Promise<number>[] = [];
    /** Load for so long; resolves with what the service got meanwhile, and the callers after it. */
    const load = async (ms: number) => {
      const [calls, attempts] = [statuses.length, mesh.requests.length];
      for (let at = 0; at < ms; at += TICK_MS) {
        for (let i = 0; i < CALLS_PER_TICK; i++)
          statuses.push(mesh.fetch('http://reviews/').then(({ status }) => status));
        await clock.advance(TICK_MS);
      }
      return {
        calls: statuses.length - calls,
        attempts: mesh.requests.length - attempts,
        statuses: () => Promise.all(statuses.slice(calls)),
      };
    };
    await load(10_000);
    down = true;
    const outage = await load(30_000);
    down = false;
    const after = await load(10_000);
    await clock.advance(1_000);

    expect(new Set(await outage.statuses())).toContain(503);
    const floor = 10 * 30;
    expect(outage.attempts).toBeLessThanOrEqual(1.2 * outage.calls + floor);
    // And the budget is used, not hoarded.
    expect(outage.attempts).toBeGreaterThanOrEqual(1.2 * outage.calls);
    expect(new Set(await after.statuses())).toEqual(new Set([200]));
    expect(after.attempts - after.calls).toBeLessThanOrEqual(CALLS_PER_TICK * 6);
  });
});
