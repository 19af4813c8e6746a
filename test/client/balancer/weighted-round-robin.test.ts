import { describe, expect, test } from 'vitest';
import { type BalancerEnv, createBalancer } from '../../../src/client/balancer/balancer.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { DEFAULT_WEIGHTED_ROUND_ROBIN, type WeightedRoundRobinConfig } from '../../../src/core/model/balancer.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { type BackendMetrics, emptyMetrics } from '../../../src/core/orca-report.js';
import { balancing, sharesOf } from '../../support/balancing.js';

const aReport = (more: Partial<BackendMetrics>): BackendMetrics => ({ ...emptyMetrics(), rps: 100, ...more });
const used = (applicationUtilization: number): BackendMetrics => aReport({ applicationUtilization });

function wrr(
  more: Partial<WeightedRoundRobinConfig> = {},
  endpoints: readonly Partial<EndpointConfig>[] = [{}, {}],
  env: Partial<BalancerEnv> = {},
) {
  const config: WeightedRoundRobinConfig = { ...DEFAULT_WEIGHTED_ROUND_ROBIN, blackoutMs: 0, ...more };
  const made = balancing({ name: 'reviews', balancer: config }, endpoints, env);
  return {
    ...made,
    report: (...reports: (BackendMetrics | undefined)[]): void =>
      reports.forEach((report, i) => {
        if (report !== undefined) made.endpoints[i]?.onReport?.(report, made.clock.now());
      }),
    /** After the next look at the weights; rounded to hundredths. */
    shares: async (): Promise<number[]> => {
      await made.clock.advance(config.updateMs);
      return sharesOf(made.balancer, made.endpoints, 20_000).map((share) => Math.round(share * 100) / 100);
    },
  };
}

describe('weights (A58)', () => {
  test('qps over utilisation: half as busy with as many requests is twice the share', async () => {
    const { report, shares } = wrr();
    report(used(0.8), used(0.4));
    expect(await shares()).toEqual([0.33, 0.67]);
    report(aReport({ applicationUtilization: 0.4, rps: 300 }), used(0.4));
    expect(await shares()).toEqual([0.75, 0.25]);
  });

  test('errors count as utilisation, by their share of requests times the penalty', async () => {
    const failing = aReport({ applicationUtilization: 0.5, eps: 50 });
    const { report, shares } = wrr({ errorPenalty: 3 });
    // 0.5 + 50 / 100 × 3 = 2, beside 0.5.
    report(failing, used(0.5));
    expect(await shares()).toEqual([0.2, 0.8]);
    const lenient = wrr({ errorPenalty: 0 });
    lenient.report(failing, used(0.5));
    expect(await lenient.shares()).toEqual([0.5, 0.5]);
  });

  test("CPU utilisation counts where the application's is not told", async () => {
    const { report, shares } = wrr();
    report(aReport({ cpuUtilization: 0.9, applicationUtilization: 0.3 }), aReport({ cpuUtilization: 0.1 }));
    expect(await shares()).toEqual([0.25, 0.75]);
  });

  test('the highest of the named metrics counts, where there is one above 0 (A114)', async () => {
    const metrics = [
      'named_metrics.queue.depth',
      'utilization.disk',
      'mem_utilization',
      'named_metrics.none',
      'rps',
      'x.y',
    ];
    const { report, shares } = wrr({ metrics });
    report(
      aReport({
        namedMetrics: { 'queue.depth': 0.2 },
        utilization: { disk: 0.6 },
        memUtilization: 0.1,
        cpuUtilization: 1,
      }),
      aReport({ namedMetrics: { 'queue.depth': -1 }, cpuUtilization: 0.2 }),
    );
    expect(await shares()).toEqual([0.25, 0.75]);
  });

  test('the weight that the control plane gives has no part in it', async () => {
    const { report, shares } = wrr({}, [{ weight: 100 }, { weight: 1 }]);
    report(used(0.5), used(0.5));
    expect(await shares()).toEqual([0.5, 0.5]);
  });

  test('reports that say nothing change nothing', async () => {
    const { report, shares } = wrr();
    report(used(0.8), used(0.4));
    report(aReport({ applicationUtilization: 0 }), aReport({ applicationUtilization: 0.9, rps: 0 }));
    report(aReport({ applicationUtilization: Number.NaN }), aReport({ applicationUtilization: 1e-320, rps: 1e300 }));
    expect(await shares()).toEqual([0.33, 0.67]);
  });

  test('nor do reports of a load that no server has: a weight beyond all measure is not believed', async () => {
    const { report, shares } = wrr();
    report(used(0.8), used(0.4));
    report(aReport({ applicationUtilization: 1, rps: 1e300 }));
    expect(await shares()).toEqual([0.33, 0.67]);
    report(aReport({ applicationUtilization: 1e300, rps: 1 }), aReport({ applicationUtilization: 1, rps: 1e-310 }));
    expect(await shares()).toEqual([0.33, 0.67]);
  });
});

describe('endpoints of which nothing is known', () => {
  test('one without a report counts as the mean of the others', async () => {
    const { report, shares } = wrr({}, [{}, {}, {}]);
    report(used(0.8), used(0.4));
    // 125, 250 and 187.5.
    expect(await shares()).toEqual([0.22, 0.44, 0.33]);
  });

  test('with less than two that have reported, all are equal', async () => {
    const { report, shares } = wrr({}, [{}, {}, {}]);
    report(used(0.9));
    expect(await shares()).toEqual([0.33, 0.33, 0.33]);
  });

  test('an endpoint is believed after the blackout period, counted from its first report', async () => {
    const { report, shares, clock } = wrr({ blackoutMs: 10_000 });
    report(used(0.8), used(0.4));
    await clock.advance(8_000);
    report(used(0.8), used(0.4));
    expect(await shares()).toEqual([0.5, 0.5]);
    expect(await shares()).toEqual([0.33, 0.67]);
  });

  test('a report is forgotten after the expiration period, and the blackout begins anew', async () => {
    const { report, shares, clock } = wrr({ blackoutMs: 10_000, expirationMs: 60_000 });
    report(used(0.8), used(0.4));
    await clock.advance(58_000);
    expect(await shares()).toEqual([0.33, 0.67]);
    expect(await shares()).toEqual([0.5, 0.5]);
    report(used(0.8), used(0.4));
    expect(await shares()).toEqual([0.5, 0.5]);
    await clock.advance(9_000);
    expect(await shares()).toEqual([0.33, 0.67]);
  });

  test('so it does for one that was lost and is connected to again', async () => {
    const { report, shares, balancer, endpoints, clock } = wrr({ blackoutMs: 10_000 });
    report(used(0.8), used(0.4));
    await clock.advance(10_000);
    expect(await shares()).toEqual([0.33, 0.67]);
    const lost = endpoints[0] as Endpoint;
    lost.connectFailed(clock.now());
    balancer.update(endpoints.slice(1));
    lost.reached(clock.now());
    balancer.update(endpoints);
    report(used(0.8), used(0.4));
    expect(await shares()).toEqual([0.5, 0.5]);
  });

  test('weights are looked at no more often than every 100 ms, and only when calls come', async () => {
    const { report, balancer, endpoints, clock } = wrr({ updateMs: 1 });
    report(used(0.9), used(0.1));
    await clock.advance(99);
    expect(sharesOf(balancer, endpoints, 100)).toEqual([0.5, 0.5]);
    await clock.advance(1);
    expect(sharesOf(balancer, endpoints, 100)).toEqual([0.1, 0.9]);
  });
});

describe('localities', () => {
  const at = (zone: string, localityWeight: number): Partial<EndpointConfig> => ({
    locality: { region: '', zone, subZone: '' },
    localityWeight,
  });
  const endpoints = [at('a', 3), at('a', 3), at('b', 1), at('b', 1)];

  test('have their share; load decides within each, as below wrr_locality', async () => {
    const { report, shares } = wrr({}, endpoints);
    report(used(0.5), used(0.25), used(0.9), used(0.9));
    const [a, b, c, d] = await shares();
    expect((a as number) + (b as number)).toBeCloseTo(0.75, 1);
    expect((b as number) / (a as number)).toBeCloseTo(2, 0);
    expect(c).toBeCloseTo(d as number, 1);
  });

  test('count for nothing when the cluster says so', async () => {
    const config = { ...DEFAULT_WEIGHTED_ROUND_ROBIN, blackoutMs: 0 };
    const { balancer, endpoints: live, clock } = balancing({ balancer: config, locality: { kind: 'none' } }, endpoints);
    for (const [i, endpoint] of live.entries()) endpoint.onReport?.(used(i === 3 ? 0.25 : 0.5), 0);
    await clock.advance(1_000);
    expect(sharesOf(balancer, live, 1_000)).toEqual([0.2, 0.2, 0.2, 0.4]);
  });
});

describe('where reports come from', () => {
  test('with replies, until the balancer is closed or another one listens', () => {
    const { balancer, endpoints } = wrr();
    expect(endpoints.every(({ onReport }) => onReport !== undefined)).toBe(true);
    balancer.update(endpoints.slice(1));
    expect(endpoints[0]?.onReport).toBeUndefined();
    const another = (): void => {};
    for (const endpoint of endpoints) endpoint.onReport = another;
    balancer.close();
    expect(endpoints[1]?.onReport).toBe(another);
  });

  test('out of band: one stream for each endpoint, with the period, ended with it', async () => {
    const open = new Map<Endpoint, (report: BackendMetrics, now: number) => void>();
    const periods: number[] = [];
    const { balancer, endpoints, clock } = wrr({ outOfBand: true, outOfBandPeriodMs: 5_000 }, [{}, {}], {
      outOfBand: (endpoint, periodMs, onReport) => {
        open.set(endpoint, onReport);
        periods.push(periodMs);
        return () => open.delete(endpoint);
      },
    });
    expect(endpoints.every(({ onReport }) => onReport === undefined)).toBe(true);
    expect(periods).toEqual([5_000, 5_000]);
    open.get(endpoints[0] as Endpoint)?.(used(0.75), 0);
    open.get(endpoints[1] as Endpoint)?.(used(0.25), 0);
    await clock.advance(1_000);
    expect(sharesOf(balancer, endpoints, 100)).toEqual([0.25, 0.75]);
    balancer.update(endpoints);
    expect(periods).toHaveLength(2);
    balancer.update(endpoints.slice(0, 1));
    expect([...open.keys()]).toEqual(endpoints.slice(0, 1));
    balancer.close();
    expect(open.size).toBe(0);
  });

  test('out of band without anybody to open streams is an error that says so', () => {
    expect(() => wrr({ outOfBand: true })).toThrow(/set env.outOfBand/);
  });

  test('subsets and zones of one balancer share what an endpoint says', () => {
    const streams: Endpoint[] = [];
    const closed: Endpoint[] = [];
    const config = {
      balancer: { ...DEFAULT_WEIGHTED_ROUND_ROBIN, outOfBand: true },
      subsets: { fallback: 'any' as const, defaultSubset: {}, selectors: [{ keys: ['version'] }] },
    };
    const { balancer, endpoints } = balancing(config, [{ labels: { version: '1' } }, { labels: { version: '2' } }], {
      outOfBand: (endpoint) => {
        streams.push(endpoint);
        return () => closed.push(endpoint);
      },
    });
    for (const subset of [undefined, { version: '1' }, { version: '2' }]) balancer.pick({ subset });
    expect(streams).toEqual(endpoints);
    balancer.close();
    expect(closed).toEqual(endpoints);
  });

  test('a new balancer of the same endpoints starts from what is known of them', async () => {
    const { report, endpoints, clock } = wrr();
    report(used(0.8), used(0.4));
    const config = { ...DEFAULT_WEIGHTED_ROUND_ROBIN, updateMs: 500 };
    const next = createBalancer({ balancer: config }, { clock, random: { next: () => 0.5, int: () => 0 } });
    await clock.advance(10_000);
    next.update(endpoints);
    expect(sharesOf(next, endpoints, 3_000).map((share) => Math.round(share * 3))).toEqual([1, 2]);
  });
});

describe('metrics (A78)', () => {
  test('count fall-backs, weights not usable yet and stale ones, once for a cluster; gone with its last balancer', async () => {
    const gauges = new Map<string, () => number>();
    const meter: BalancerEnv['meter'] = {
      gauge: (name, labels, read) => {
        expect(labels).toEqual({ 'mesh.cluster': 'reviews' });
        expect(gauges.has(name)).toBe(false);
        gauges.set(name, read);
        return () => gauges.delete(name);
      },
      record() {},
    };
    const read = (): number[] => [...gauges.values()].map((value) => value());
    const first = wrr({ expirationMs: 2_000 }, [{}, {}], { meter });
    expect([...gauges.keys()]).toEqual([
      'grpc.lb.wrr.rr_fallback',
      'grpc.lb.wrr.endpoint_weight_not_yet_usable',
      'grpc.lb.wrr.endpoint_weight_stale',
    ]);
    expect(read()).toEqual([1, 2, 0]);
    first.report(used(0.5), used(0.5));
    await first.shares();
    expect(read()).toEqual([1, 2, 0]);
    await first.clock.advance(1_000);
    await first.shares();
    expect(read()).toEqual([2, 2, 2]);
    const second = wrr({}, [{}], { meter });
    expect(read()).toEqual([3, 3, 2]);
    first.balancer.close();
    expect(gauges.size).toBe(3);
    second.balancer.close();
    expect(gauges.size).toBe(0);
  });

  test('each endpoint is written down with its weight at each update, 0 while it is not usable', async () => {
    const weights: number[] = [];
    const record: NonNullable<BalancerEnv['meter']>['record'] = (name, labels, value) => {
      expect([name, labels]).toEqual(['grpc.lb.wrr.endpoint_weights', { 'mesh.cluster': 'reviews' }]);
      weights.push(value);
    };
    const { report, shares, clock } = wrr({}, [{}, {}], { meter: { gauge: () => () => {}, record } });
    expect(weights.splice(0)).toEqual([0, 0]);
    report(used(0.5), used(0.25));
    await clock.advance(10_000);
    await shares();
    expect(weights[1]).toBe(2 * (weights[0] as number));
  });
});
