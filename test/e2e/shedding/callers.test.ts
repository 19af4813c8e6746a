import { afterEach, describe, expect, test } from 'vitest';
import { Inbound } from '../../../src/server/inbound.js';
import { refusalReply } from '../../../src/server/refusal.js';
import { FakeClock, type TestMesh, testMesh } from '../../../src/testing/index.js';
import { RETRIED_ROUTE } from '../../support/retried-route.js';

let mesh: TestMesh;
afterEach(() => mesh.close());

const TICK_MS = 50;
const CALLS_PER_TICK = 5;

/** An endpoint that is full all the time, and counts what it refuses. */
function fullEndpoint(clock: FakeClock) {
  const shed = { initialLimit: 1, minLimit: 1, maxLimit: 1, maxLagMs: false } as const;
  const inbound = new Inbound({ clock, shed });
  inbound.refusal(inbound.context({}, 'http'), 'http');
  const refusedAt: number[] = [];
  const answer = (): Response => {
    const refusal = inbound.refusal(inbound.context({}, 'http'), 'http');
    if (refusal === undefined || refusal instanceof Promise) throw new Error('it is full');
    refusedAt.push(clock.now());
    const { status, headers, body } = refusalReply(refusal);
    return new Response(body, { status, headers: headers as Record<string, string> });
  };
  return { answer, refusedAt };
}

const well = (): Response => new Response('ok');

/** 100 calls a second for so long; resolves with their statuses. */
async function load(clock: FakeClock, ms: number): Promise<number[]> {
  const statuses: Promise<number>[] = [];
  for (let at = 0; at < ms; at += TICK_MS) {
    for (let i = 0; i < CALLS_PER_TICK; i++) statuses.push(mesh.fetch('http://reviews/').then(({ status }) => status));
    await clock.advance(TICK_MS);
  }
  await clock.advance(10_000);
  return Promise.all(statuses);
}

describe('callers of a service that sheds', () => {
  test('leave an endpoint alone that refuses at once, however short its answers take', async () => {
    const clock = new FakeClock();
    const full = fullEndpoint(clock);
    mesh = testMesh({ clock, services: { reviews: [full.answer, well, well] } });
    const statuses = await load(clock, 30_000);
    // A third were fair.
    expect(full.refusedAt.length).toBeGreaterThan(0);
    expect(full.refusedAt.length).toBeLessThan(0.05 * statuses.length);
  });

  test('try again no sooner than it asks them to, and no more than their budget allows', async () => {
    const clock = new FakeClock();
    const full = fullEndpoint(clock);
    mesh = testMesh({ clock, services: { reviews: [full.answer] }, config: RETRIED_ROUTE });
    const first = clock.now();
    const statuses = await load(clock, 30_000);
    expect(new Set(statuses)).toEqual(new Set([503]));
    // Each call comes on a tick; until the first may come again nothing else does.
    expect(full.refusedAt.filter((at) => at < first + 1_000).length).toBeLessThanOrEqual(
      (1_000 / TICK_MS) * CALLS_PER_TICK,
    );
    expect(full.refusedAt.length).toBeLessThanOrEqual(1.2 * statuses.length + 10 * 40);
    expect(full.refusedAt.length).toBeGreaterThan(statuses.length);
  });
});
