import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_HOLD_MS, PeakEwma } from '../../../src/client/balancer/peak-ewma.js';
import { Cluster } from '../../../src/client/endpoints/cluster.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { UnderWay } from '../../../src/client/endpoints/under-way.js';
import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { balancing, picksOf, sharesOf } from '../../support/balancing.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster } from '../../support/targets.js';

const EWMA: BalancerConfig = { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 };

describe('least request', () => {
  test('prefers the endpoint with fewer calls in flight', () => {
    const { balancer, endpoints } = balancing({ balancer: { kind: 'least_request', choiceCount: 2 } }, [1, 1]);
    (endpoints[0] as Endpoint).inflight = 5;
    expect(picksOf(balancer, 100).get(endpoints[1] as Endpoint)).toBe(100);
  });

  test('where weights differ, a heavy endpoint may have more in flight in proportion', () => {
    const { balancer, endpoints } = balancing({ balancer: { kind: 'least_request', choiceCount: 10 } }, [1, 4]);
    // Calls that stay: 1,000 of them are spread by weight, within a choice or two.
    for (let i = 0; i < 1_000; i++) (balancer.pick({}) as Endpoint).inflight++;
    expect((endpoints[0] as Endpoint).inflight).toBeGreaterThan(190);
    expect((endpoints[0] as Endpoint).inflight).toBeLessThan(210);
  });

  test("Envoy's weighted kind: weight over calls in flight, by the bias", () => {
    const busy = (activeRequestBias: number): number[] => {
      const { balancer, endpoints } = balancing(
        { balancer: { kind: 'least_request', choiceCount: 2, activeRequestBias } },
        [1, 3],
      );
      (endpoints[1] as Endpoint).inflight = 2;
      // The load is seen for the turn after the next.
      picksOf(balancer, 10);
      return sharesOf(balancer, endpoints, 1_000).map((share) => Math.round(share * 20) / 20);
    };
    expect(busy(0)).toEqual([0.25, 0.75]);
    // 3 ÷ (2 + 1) = 1.
    expect(busy(1)).toEqual([0.5, 0.5]);
    // 3 ÷ (2 + 1)² = 1/3.
    expect(busy(2)).toEqual([0.75, 0.25]);
  });
});

describe('peak EWMA, the measure', () => {
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

  test('"come back in a minute" costs a minute until then, whatever is seen meanwhile', () => {
    const ewma = new PeakEwma(10_000, 30, 0);
    ewma.hold(60_000, 0);
    for (let at = 0; at < 60_000; at += 1_000) {
      ewma.observe(5, at);
      expect(ewma.value(at)).toBe(60_000);
    }
    expect(ewma.held(59_999)).toBe(true);
    expect(ewma.held(60_000)).toBe(false);
    expect(ewma.value(60_000)).toBeLessThan(30);
  });

  test('a hold ends after five minutes at most, and no shorter one takes it back; nonsense asks for nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.double(), fc.nat(1_000_000)), { maxLength: 20 }), (holds) => {
        const ewma = new PeakEwma(10_000, 30, 0);
        let until = 0;
        let now = 0;
        for (const [delay, later] of holds) {
          now += later;
          ewma.hold(delay, now);
          if (delay > 0) until = Math.max(until, now + Math.min(delay, MAX_HOLD_MS));
          expect(ewma.held(now)).toBe(now < until);
          expect(ewma.value(now)).toBeLessThanOrEqual(MAX_HOLD_MS);
        }
      }),
    );
  });
});

describe('peak EWMA, configured otherwise', () => {
  const peakEwma = (decayMs: number, defaultRttMs: number) => ({ kind: 'peak_ewma' as const, decayMs, defaultRttMs });
  const clusterOf = () => {
    const { env, clock } = memoryEnv();
    const config = aCluster('reviews', ['10.0.0.1:80', '10.0.0.2:80'], { balancer: peakEwma(10_000, 30) });
    const cluster = new Cluster(config, env, new UnderWay());
    const [seen, unseen] = cluster.endpoints as [Endpoint, Endpoint];
    seen.latency.observe(100, clock.now());
    return { cluster, config, clock, seen, unseen };
  };

  test('endpoints that are there already go by the new decay from then on, and those not yet seen by the new latency', async () => {
    const { cluster, config, clock, seen, unseen } = clusterOf();
    cluster.update({ ...config, balancer: peakEwma(1_000, 500) });
    expect(cluster.endpoints).toEqual([seen, unseen]);
    await clock.advance(1_000);
    expect(seen.latency.value(clock.now())).toBeCloseTo(100 / Math.E);
    expect(unseen.latency.value(clock.now())).toBeCloseTo(500 / Math.E);
  });

  test('so they do when the balancer was another one, and when it becomes one', async () => {
    const { cluster, config, clock, seen } = clusterOf();
    cluster.update({ ...config, balancer: { kind: 'round_robin' } });
    cluster.update({ ...config, balancer: peakEwma(2_000, 30) });
    await clock.advance(2_000);
    expect(seen.latency.value(clock.now())).toBeCloseTo(100 / Math.E);
    cluster.update({ ...config, balancer: { kind: 'round_robin' } });
    expect(seen.latency.value(clock.now())).toBeCloseTo(100 / Math.E ** 0.2);
  });
});

describe('peak EWMA, the choice', () => {
  test('one slow endpoint of three gets next to nothing, and is asked again every three seconds', async () => {
    const { balancer, endpoints, clock } = balancing({ balancer: EWMA }, [1, 1, 1]);
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

  test('one that asked to be left alone is, and is not asked again before it said', async () => {
    const { balancer, endpoints, clock } = balancing({ balancer: EWMA }, [1, 1, 1]);
    const held = endpoints[0] as Endpoint;
    held.latency.hold(20_000, clock.now());
    for (let i = 0; i < 1_999; i++) {
      const picked = balancer.pick({}) as Endpoint;
      expect(picked).not.toBe(held);
      picked.latency.observe(5, clock.now());
      await clock.advance(10);
    }
    await clock.advance(10_000);
    expect(picksOf(balancer, 100).has(held)).toBe(true);
  });

  test('little traffic to many endpoints does not turn the choice around', async () => {
    const { balancer, endpoints, clock } = balancing({ balancer: EWMA }, new Array<number>(200).fill(1));
    const slow = new Set(endpoints.slice(0, 100));
    for (const endpoint of slow) endpoint.latency.observe(5_000, 0);
    // Ten calls a second: nearly every endpoint drawn has waited for more than 3 s.
    let slowPicks = 0;
    for (let i = 0; i < 100; i++) {
      await clock.advance(100);
      const picked = balancer.pick({}) as Endpoint;
      if (slow.has(picked)) slowPicks++;
    }
    // Two slow ones are drawn in a quarter of the picks; picks forced upon the slower of two would make it three quarters.
    expect(slowPicks).toBeLessThan(40);
  });
});

test.each<BalancerConfig>([EWMA, { kind: 'least_request', choiceCount: 2 }])(
  'nobody gets more than twice its share by weight, however good it looks: $kind',
  (config) => {
    const { balancer, endpoints } = balancing({ balancer: config }, [1, 9, 10]);
    for (const endpoint of endpoints.slice(1)) {
      endpoint.inflight = 100;
      endpoint.latency.observe(1_000, 0);
    }
    const [share] = sharesOf(balancer, endpoints, 20_000);
    // 1 - 0.95², and five standard deviations of chance: 5 × √(0.1 × 0.9 ÷ 20,000) < 0.011.
    expect(share).toBeLessThan(0.0975 + 0.011);
  },
);
