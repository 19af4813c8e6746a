import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BalancerEnv, BalancingConfig } from '../../../src/client/balancer/balancer.js';
import { localityKey } from '../../../src/client/balancer/locality.js';
import type { ZoneAwareConfig } from '../../../src/client/balancer/zone-aware.js';
import { zoneShares } from '../../../src/client/balancer/zone-shares.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { EndpointConfig, Locality } from '../../../src/core/model/endpoint.js';
import { balancing, sharesOf } from '../../support/balancing.js';

const zone = (name: string): Locality => ({ region: 'r', zone: name, subZone: '' });
const at = (name: string, more: Partial<EndpointConfig> = {}): Partial<EndpointConfig> => ({
  locality: zone(name),
  ...more,
});
const rounded = (shares: readonly number[]): number[] => shares.map((share) => Math.round(share * 1_000) / 1_000);

describe('weights by locality', () => {
  const endpoints = [
    at('a', { localityWeight: 1, weight: 1 }),
    at('a', { localityWeight: 1, weight: 2 }),
    at('b', { localityWeight: 2, weight: 1 }),
    at('b', { localityWeight: 2, weight: 2 }),
  ];
  const shares = (config: BalancingConfig, list = endpoints): number[] => {
    const { balancer, endpoints: live } = balancing(config, list);
    return rounded(sharesOf(balancer, live, 9_000)).map((share) => Math.round(share * 9));
  };

  test("a locality has its weight's share, and an endpoint its weight's share of that (A113)", () => {
    expect(shares({ balancer: { kind: 'round_robin' } })).toEqual([1, 2, 2, 4]);
  });

  test('a locality that has lost endpoints keeps its share as in gRPC, or what it can take as in Envoy', () => {
    const list = [
      ...new Array(4).fill(at('a', { localityWeight: 1 })),
      ...new Array(4).fill(at('b', { localityWeight: 1 })),
    ];
    const ofA = (config: BalancingConfig, usable: number): number => {
      const { balancer, endpoints: live } = balancing(config, list);
      balancer.update([...live.slice(0, usable), ...live.slice(4)], live);
      const shares = sharesOf(balancer, live, 24_000);
      return shares.slice(0, 4).reduce((sum, share) => sum + share, 0);
    };
    const grpc: BalancingConfig = { balancer: { kind: 'round_robin' } };
    const envoy: BalancingConfig = { ...grpc, priorities: { overprovisioningFactor: 1.4 } };
    expect(ofA(grpc, 1)).toBeCloseTo(0.5, 3);
    // 1.4 × 3/4 is the whole; 1.4 × 1/4 = 0.35 beside 1.
    expect(ofA(envoy, 3)).toBeCloseTo(0.5, 3);
    expect(ofA(envoy, 1)).toBeCloseTo(0.35 / 1.35, 3);
  });

  test('none: by the weights of the endpoints alone', () => {
    const { balancer, endpoints: live } = balancing(
      { balancer: { kind: 'round_robin' }, locality: { kind: 'none' } },
      endpoints,
    );
    expect(rounded(sharesOf(balancer, live, 6_000))).toEqual([0.167, 0.333, 0.167, 0.333]);
    expect(live.map(({ weight }) => weight)).toEqual([1, 2, 1, 2]);
  });

  test('a locality that weighs nothing gets nothing, unless no other weighs anything', () => {
    const nothing = (list: typeof endpoints) => list.map((endpoint) => ({ ...endpoint, localityWeight: 0 }));
    expect(
      shares({ balancer: { kind: 'round_robin' } }, [...endpoints.slice(0, 2), ...nothing(endpoints.slice(2))]),
    ).toEqual([3, 6, 0, 0]);
    expect(shares({ balancer: { kind: 'random' } }, nothing(endpoints)).every((share) => share > 0)).toBe(true);
  });
});

describe('shares of zones (Envoy)', () => {
  test('a zone with as many of the endpoints as of the callers keeps its calls', () => {
    const even = new Map([
      ['a', 3],
      ['b', 3],
    ]);
    expect(
      zoneShares(
        'a',
        even,
        new Map([
          ['a', 1],
          ['b', 1],
        ]),
        undefined,
      )?.own,
    ).toBe(1);
    expect(
      zoneShares(
        'a',
        even,
        new Map([
          ['a', 1],
          ['b', 3],
        ]),
        undefined,
      )?.own,
    ).toBe(1);
  });

  test("the proto's example: 40 % of the callers, 25 % of the endpoints; the rest by room to spare", () => {
    const shares = zoneShares(
      'a',
      new Map([
        ['a', 25],
        ['b', 50],
        ['c', 25],
      ]),
      new Map([
        ['a', 40],
        ['b', 40],
        ['c', 20],
      ]),
      undefined,
    );
    expect(shares?.own).toBeCloseTo(0.625);
    expect([...(shares?.residual ?? [])].map(([name, room]) => [name, Math.round(room * 100)])).toEqual([
      ['b', 10],
      ['c', 5],
    ]);
  });

  test('every endpoint gets the same load, however callers and endpoints are spread', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(counts, counts, (upstreamCounts, callerCounts) => {
        const zones = ['a', 'b', 'c', 'd', 'e', 'f'];
        const upstream = new Map(upstreamCounts.map((n, i) => [zones[i] as string, n]));
        const callers = new Map(callerCounts.map((n, i) => [zones[i] as string, n]));
        const load = new Map([...upstream.keys()].map((name) => [name, 0]));
        for (const [own, count] of callers) {
          const shares = zoneShares(own, upstream, callers, undefined);
          if (shares === undefined) return;
          const rest = [...shares.residual.values()].reduce((sum, room) => sum + room, 0);
          const send = (name: string, calls: number): void => void load.set(name, (load.get(name) ?? 0) + calls);
          if (upstream.has(own)) send(own, count * shares.own);
          for (const [name, room] of shares.residual) send(name, (count * (1 - shares.own) * room) / rest);
        }
        const calls = [...callers.values()].reduce((sum, n) => sum + n, 0);
        const endpoints = [...upstream.values()].reduce((sum, n) => sum + n, 0);
        for (const [name, n] of upstream) expect((load.get(name) as number) / n).toBeCloseTo(calls / endpoints, 6);
      }),
    );
  });

  test('callers that do not know this one, or are in one zone only, say nothing', () => {
    const upstream = new Map([
      ['a', 3],
      ['b', 3],
    ]);
    expect(
      zoneShares(
        'a',
        upstream,
        new Map([
          ['b', 1],
          ['c', 1],
        ]),
        undefined,
      ),
    ).toBeUndefined();
    expect(zoneShares('a', upstream, new Map([['a', 5]]), undefined)).toBeUndefined();
    expect(
      zoneShares(
        'c',
        upstream,
        new Map([
          ['a', 5],
          ['c', 5],
        ]),
        undefined,
      )?.own,
    ).toBe(0);
  });

  test('forced: from so many own endpoints on, all calls stay', () => {
    const upstream = new Map([
      ['a', 1],
      ['b', 9],
    ]);
    expect(zoneShares('a', upstream, undefined, 1)?.own).toBe(1);
    expect(zoneShares('a', upstream, undefined, 2)?.own).toBeCloseTo(0.2);
    expect(zoneShares('c', upstream, undefined, 0)?.own).toBe(0);
  });
});

describe('zone-aware balancing', () => {
  const config = (more: Partial<ZoneAwareConfig> = {}): BalancingConfig => ({
    balancer: { kind: 'round_robin' },
    locality: {
      kind: 'zone_aware',
      enabled: 1,
      minClusterSize: 6,
      forceLocal: undefined,
      failTrafficOnPanic: false,
      ...more,
    },
  });
  const inA: Partial<BalancerEnv> = { locality: zone('a') };
  const spread = (a: number, b: number, c: number): Partial<EndpointConfig>[] => [
    ...new Array(a).fill(at('a')),
    ...new Array(b).fill(at('b')),
    ...new Array(c).fill(at('c')),
  ];
  const byZone = (balancer: ReturnType<typeof balancing>['balancer'], endpoints: readonly Endpoint[]): number[] => {
    const shares = sharesOf(balancer, endpoints, 20_000);
    return ['a', 'b', 'c'].map((name) =>
      endpoints.reduce((sum, { config }, i) => sum + (config.locality.zone === name ? (shares[i] as number) : 0), 0),
    );
  };

  test('all calls stay when the own zone can take them', () => {
    const { balancer, endpoints } = balancing(config(), spread(2, 2, 2), inA);
    expect(byZone(balancer, endpoints)).toEqual([1, 0, 0]);
  });

  test('what is too much goes where there is room', () => {
    const { balancer, endpoints } = balancing(config(), spread(1, 4, 3), inA);
    const [a, b, c] = byZone(balancer, endpoints);
    // 1/8 of the endpoints for 1/3 of the callers; room: 1/2 - 1/3 and 3/8 - 1/3, which is 4 : 1. Chance: 5 × √(0.25 ÷ 20,000) < 0.018.
    expect(Math.abs((a as number) - 3 / 8)).toBeLessThan(0.018);
    expect(Math.abs((b as number) - 1 / 2)).toBeLessThan(0.018);
    expect(Math.abs((c as number) - 1 / 8)).toBeLessThan(0.018);
  });

  test('by the callers that are known', () => {
    const callers = new Map([
      [localityKey(zone('a')), 1],
      [localityKey(zone('b')), 7],
    ]);
    const { balancer, endpoints } = balancing(config(), spread(1, 4, 3), { ...inA, localZones: () => callers });
    expect(byZone(balancer, endpoints)[0]).toBe(1);
  });

  test('with the next call when the callers are known, or others', () => {
    let callers: ReadonlyMap<string, number> | undefined;
    const { balancer, endpoints } = balancing(config(), spread(1, 4, 3), { ...inA, localZones: () => callers });
    expect(byZone(balancer, endpoints)[0]).toBeLessThan(0.5);
    callers = new Map([
      [localityKey(zone('a')), 1],
      [localityKey(zone('b')), 7],
    ]);
    expect(byZone(balancer, endpoints)[0]).toBe(1);
    callers = new Map([
      [localityKey(zone('a')), 7],
      [localityKey(zone('b')), 1],
    ]);
    // 1/8 of the endpoints for 7/8 of the callers.
    expect(byZone(balancer, endpoints)[0]).toBeCloseTo(1 / 7, 1);
  });

  test.each<[string, BalancingConfig, Partial<EndpointConfig>[], Partial<BalancerEnv>]>([
    ['the cluster is small', config({ minClusterSize: 7 }), spread(2, 2, 2), inA],
    ['nobody says where the caller is', config(), spread(2, 2, 2), {}],
    ['there is one zone', config(), spread(0, 6, 0), inA],
    ['it is switched off', config({ enabled: 0 }), spread(2, 2, 2), inA],
    [
      'it is another priority than the first',
      config(),
      spread(2, 2, 2).map((endpoint) => ({ ...endpoint, priority: 1 })),
      inA,
    ],
  ])('all endpoints alike when %s', (_, zoned, list, env) => {
    const { balancer, endpoints } = balancing(zoned, list, env);
    for (const share of sharesOf(balancer, endpoints, 6_000)) expect(share).toBeCloseTo(1 / endpoints.length, 2);
  });

  test('for a share of the calls when so configured', () => {
    const { balancer, endpoints } = balancing(config({ enabled: 0.5 }), spread(2, 2, 2), inA);
    // Half stay, and of the other half a third is for the own zone.
    expect(Math.abs((byZone(balancer, endpoints)[0] as number) - 2 / 3)).toBeLessThan(0.018);
  });

  test('in panic all endpoints are used, or none when so configured', () => {
    const panic = (failTrafficOnPanic: boolean) => {
      const made = balancing(config({ failTrafficOnPanic }), spread(2, 2, 2), inA);
      made.endpoints[0]?.health.eject(0);
      made.balancer.update(made.endpoints);
      return made;
    };
    const open = panic(false);
    expect(new Set(byZone(open.balancer, open.endpoints).map((share) => share > 0))).toEqual(new Set([true]));
    const closed = panic(true);
    expect(closed.balancer.pick({})).toBeUndefined();
    closed.endpoints[0]?.health.uneject(1);
    closed.balancer.update(closed.endpoints);
    expect(closed.balancer.pick({})).toBeDefined();
  });

  test('a retry leaves the zone when all of it has been tried', () => {
    const { balancer, endpoints } = balancing(config(), spread(2, 2, 2), inA);
    const tried = endpoints.slice(0, 2).map(({ key }) => key);
    for (let i = 0; i < 20; i++) expect(tried).not.toContain(balancer.pick({ tried })?.key);
  });

  test('a zone that is lost and comes back gets its calls back', () => {
    const { balancer, endpoints } = balancing(config(), spread(3, 3, 3), inA);
    balancer.update(endpoints.slice(3));
    expect(byZone(balancer, endpoints)[0]).toBe(0);
    balancer.update(endpoints);
    expect(byZone(balancer, endpoints)[0]).toBe(1);
  });
});
