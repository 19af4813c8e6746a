import { describe, expect, test } from 'vitest';
import { warmth } from '../../../src/client/balancer/slow-start.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { aLiveEndpoint, balancing, sharesOf } from '../../support/balancing.js';

const WINDOW = { windowMs: 10_000, aggression: 1, minWeight: 0.1 };

describe('the share of its weight that a new endpoint gets (Envoy)', () => {
  test('grows with its age, from the least, and not beyond the whole', () => {
    expect([0, 500, 1_000, 2_500, 5_000, 9_999, 10_000, 50_000].map((age) => warmth(WINDOW, age))).toEqual([
      0.1, 0.1, 0.1, 0.25, 0.5, 0.9999, 1, 1,
    ]);
  });

  test('sooner with more aggression', () => {
    expect(warmth({ ...WINDOW, aggression: 2 }, 2_500)).toBeCloseTo(0.5);
    expect(warmth({ ...WINDOW, aggression: 0.5 }, 5_000)).toBeCloseTo(0.25);
    expect(warmth({ ...WINDOW, aggression: 2, minWeight: 0.001 }, 0)).toBeCloseTo(0.01);
  });
});

describe.each<{ balancer: BalancerConfig; most: number }>([
  { balancer: { kind: 'round_robin' }, most: 1 },
  { balancer: { kind: 'random' }, most: 1 },
  { balancer: { kind: 'least_request', choiceCount: 2, activeRequestBias: 1 }, most: 1 },
  { balancer: { kind: 'least_request', choiceCount: 2 }, most: 1 },
  // The cheaper of two drawn by weight: up to twice the share of one that looks better than the others, and less when it looks worse.
  { balancer: { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 }, most: 2 },
])('a newcomer among three: $balancer.kind', ({ balancer: config, most }) => {
  test('its share of the picks grows by and by, without an update', async () => {
    const { balancer, endpoints, clock } = balancing({ balancer: config, slowStart: WINDOW }, [1, 1, 1]);
    await clock.advance(60_000);
    const newcomer = aLiveEndpoint('10.1.0.1:80', {}, clock.now());
    const all = [...endpoints, newcomer];
    // Of the same latency as the others: then only its weight tells it apart.
    for (const endpoint of all) endpoint.latency.observe(50, clock.now());
    balancer.update(all);
    const share = (): number => sharesOf(balancer, all, 4_000)[3] as number;
    const expected = (part: number): number => part / (3 + part);
    for (const [at, part] of [
      [0, 0.1],
      [5_000, 0.5],
      [10_000, 1],
    ] as const) {
      await clock.advance(at === 0 ? 0 : 5_000);
      // Five standard deviations: 5 × √(0.19 ÷ 4,000) < 0.035.
      expect(share()).toBeLessThan(expected(part) * most + 0.035);
      if (most === 1) expect(share()).toBeGreaterThan(expected(part) - 0.035);
      expect(newcomer.weight).toBeCloseTo(part);
    }
  });
});

test('one that comes back after it was ejected starts slowly, too', async () => {
  const { balancer, endpoints, clock } = balancing({ balancer: { kind: 'round_robin' }, slowStart: WINDOW }, [1, 1]);
  const ejected = endpoints[0] as Endpoint;
  await clock.advance(60_000);
  ejected.health.eject(clock.now());
  balancer.update(endpoints.slice(1));
  await clock.advance(60_000);
  ejected.health.uneject(clock.now());
  balancer.update(endpoints);
  expect(sharesOf(balancer, endpoints, 1_100)[0]).toBeCloseTo(0.1 / 1.1, 2);
});

test('weights are not looked at while none is new', async () => {
  const { balancer, endpoints, clock } = balancing({ balancer: { kind: 'round_robin' }, slowStart: WINDOW }, [1, 1]);
  await clock.advance(60_000);
  balancer.pick({});
  (endpoints[0] as Endpoint).weight = 42;
  await clock.advance(60_000);
  balancer.pick({});
  expect(endpoints[0]?.weight).toBe(42);
});

test('hashes stay where they are', async () => {
  const { balancer, clock, endpoints } = balancing(
    { balancer: { kind: 'ring_hash', minSize: 100, maxSize: 100 }, slowStart: WINDOW },
    [1, 1, 1],
  );
  const hashes = Array.from({ length: 50 }, (_, i) => BigInt(i) << 58n);
  const owners = (): (Endpoint | undefined)[] => hashes.map((hash) => balancer.pick({ hash }));
  const before = owners();
  await clock.advance(5_000);
  expect(owners()).toEqual(before);
  expect(endpoints.map(({ weight }) => weight)).toEqual([1, 1, 1]);
});
