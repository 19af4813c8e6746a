import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Balancer, createBalancer } from '../../../src/client/balancer/balancer.js';
import { PeakEwma } from '../../../src/client/balancer/peak-ewma.js';
import { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { BalancerConfig } from '../../../src/core/model/cluster.js';
import { seededRandom } from '../../../src/core/random.js';
import { anEndpoint } from '../../support/endpoints.js';
import { FakeClock } from '../../support/fake-clock.js';

const kinds: readonly BalancerConfig[] = [
  { kind: 'round_robin' },
  { kind: 'random' },
  { kind: 'least_request', choiceCount: 2 },
  { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 },
];

function make(config: BalancerConfig, weights: readonly number[], seed = 1) {
  const clock = new FakeClock();
  const endpoints = weights.map((weight, i) => {
    const endpoint = new Endpoint(
      anEndpoint(`10.0.0.${i + 1}:80`),
      new PeakEwma(10_000, 30, clock.now()),
      () => {
        throw new Error('a balancer opens no connection');
      },
      clock.now(),
    );
    endpoint.weight = weight;
    return endpoint;
  });
  const balancer = createBalancer(config, { clock, random: seededRandom(seed) });
  balancer.update(endpoints);
  return { balancer, endpoints, clock };
}

function shares(balancer: Balancer, picks: number): Map<Endpoint, number> {
  const counts = new Map<Endpoint, number>();
  for (let i = 0; i < picks; i++) {
    const picked = balancer.pick({});
    if (picked !== undefined) counts.set(picked, (counts.get(picked) ?? 0) + 1);
  }
  return counts;
}

describe.each(kinds)('every balancer: $kind', (config) => {
  test('shares idle traffic by weight', () => {
    const weights = [1, 1, 2, 4];
    const { balancer, endpoints } = make(config, weights);
    const counts = shares(balancer, 40_000);
    // A pick of two that are equally loaded falls to the first drawn, which is drawn by weight; but the second draw avoids the first, so a
    // heavy endpoint can lose a little: random sampling error (5 sd < 0.012 of the picks) plus that.
    endpoints.forEach((endpoint, i) => {
      expect((counts.get(endpoint) ?? 0) / 40_000).toBeCloseTo((weights[i] as number) / 8, 1.3);
    });
  });

  test('gives nothing to an endpoint that was removed, at once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 8 }),
        fc.integer(),
        fc.nat(),
        (weights, seed, victim) => {
          const { balancer, endpoints } = make(config, weights, seed);
          shares(balancer, 5);
          const removed = endpoints[victim % endpoints.length] as Endpoint;
          balancer.update(endpoints.filter((endpoint) => endpoint !== removed));
          expect(shares(balancer, 100).has(removed)).toBe(false);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('has nothing to give when there is no endpoint, and always something when there is one', () => {
    const { balancer, endpoints } = make(config, [1]);
    expect(balancer.pick({ tried: ['10.0.0.1:80'] })).toBe(endpoints[0]);
    balancer.update([]);
    expect(balancer.pick({})).toBeUndefined();
    balancer.update(endpoints);
    expect(balancer.pick({})).toBe(endpoints[0]);
  });

  test('avoids the endpoints that were tried while there is another', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.integer(), (count, seed) => {
        const { balancer, endpoints } = make(config, new Array(count).fill(1), seed);
        const tried = endpoints.slice(1).map((endpoint) => endpoint.key);
        for (let i = 0; i < 20; i++) expect(balancer.pick({ tried })).toBe(endpoints[0]);
      }),
      { numRuns: 50 },
    );
  });

  test('the same seed makes the same picks', () => {
    const keys = (seed: number): (string | undefined)[] => {
      const { balancer } = make(config, [1, 2, 3], seed);
      return Array.from({ length: 50 }, () => balancer.pick({})?.key);
    };
    expect(keys(5)).toEqual(keys(5));
  });
});

describe('least request', () => {
  test('prefers the endpoint with fewer calls in flight', () => {
    const { balancer, endpoints } = make({ kind: 'least_request', choiceCount: 2 }, [1, 1]);
    (endpoints[0] as Endpoint).inflight = 5;
    expect(shares(balancer, 100).get(endpoints[1] as Endpoint)).toBe(100);
  });
});

describe('peak EWMA', () => {
  test('a rise counts at once and whole, a fall by the decay', () => {
    const ewma = new PeakEwma(10_000, 30, 0);
    ewma.observe(500, 100);
    expect(ewma.value(100)).toBe(500);
    ewma.observe(10, 200);
    expect(ewma.value(200)).toBeGreaterThan(490);
    for (let at = 300; at < 120_000; at += 100) ewma.observe(10, at);
    expect(ewma.value(120_000)).toBeCloseTo(10, 0);
  });

  test('a reply that took long to end does not turn back the time', () => {
    const ewma = new PeakEwma(10_000, 30, 0);
    ewma.observe(5_000, 100_000);
    ewma.observe(10, 10_000);
    expect(ewma.value(100_000)).toBeGreaterThan(4_990);
  });

  test('what has not been seen for a while fades', () => {
    const ewma = new PeakEwma(10_000, 1_000, 0);
    expect(ewma.value(10_000)).toBeCloseTo(1_000 / Math.E, 0);
  });

  test('one slow endpoint of three gets next to nothing, and is asked again every three seconds', async () => {
    const { balancer, endpoints, clock } = make({ kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 }, [1, 1, 1]);
    const slow = endpoints[0] as Endpoint;
    let slowPicks = 0;
    for (let i = 0; i < 3_000; i++) {
      const picked = balancer.pick({}) as Endpoint;
      if (picked === slow) slowPicks++;
      picked.latency.observe(picked === slow ? 2_000 : 5, clock.now());
      await clock.advance(10);
    }
    // 30 s: the first pick, then one forced pick in each 3 s or a little later.
    expect(slowPicks).toBeGreaterThanOrEqual(5);
    expect(slowPicks).toBeLessThanOrEqual(12);
  });
});
