import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBalancer } from '../../../src/client/balancer/balancer.js';
import { standingFor } from '../../../src/client/endpoints/aperture.js';
import { deterministicAperture } from '../../../src/client/endpoints/deterministic-aperture.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { ApertureConfig, SubsetConfig } from '../../../src/core/model/balancer.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { seededRandom } from '../../../src/core/random.js';
import { aperture } from '../../support/apertures.js';
import { aLiveEndpoint, hash64, picksOf, sharesOf } from '../../support/balancing.js';
import { FakeClock } from '../../support/fake-clock.js';

const serversOf = (count: number, more: (i: number) => Partial<EndpointConfig> = () => ({})): Endpoint[] =>
  Array.from({ length: count }, (_, i) => aLiveEndpoint(`10.2.${Math.floor(i / 250)}.${i % 250}:80`, more(i)));

describe('random subsetting (A68)', () => {
  const ofSize = (size: number) => ({ aperture: { kind: 'random_subsetting', size } }) as const;

  test('a client uses so many endpoints and no more: those of the smallest hashes under its seed', () => {
    const endpoints = serversOf(50);
    const expected = [...endpoints].sort((a, b) => (hash64(a.key, 7n) < hash64(b.key, 7n) ? -1 : 1)).slice(0, 5);
    expect(new Set(aperture(ofSize(5), { seed: 7n })(endpoints))).toEqual(new Set(expected));
  });

  test('one endpoint more or less changes at most one of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 2, max: 40 }), fc.nat(), (size, count, victim) => {
        const endpoints = serversOf(count);
        const use = aperture(ofSize(size));
        const before = new Set(use(endpoints));
        expect(before.size).toBe(Math.min(size, count));
        const gone = endpoints[victim % count] as Endpoint;
        const after = new Set(use(endpoints.filter((endpoint) => endpoint !== gone)));
        const kept = [...before].filter((endpoint) => after.has(endpoint)).length;
        expect(kept).toBeGreaterThanOrEqual(before.size - 1);
        if (!before.has(gone)) expect(kept).toBe(before.size);
        expect(new Set(use(endpoints))).toEqual(before);
      }),
      { numRuns: 50 },
    );
  });

  test('many clients together use all endpoints about equally', () => {
    const used = new Map<Endpoint, number>();
    const endpoints = serversOf(50);
    for (let client = 0; client < 100; client++) {
      for (const endpoint of aperture(ofSize(10), { client })(endpoints))
        used.set(endpoint, (used.get(endpoint) ?? 0) + 1);
    }
    // 20 each on the average; a binomial of 100 clients at 0.2 has a standard deviation of 4: five of them.
    expect(used.size).toBe(50);
    for (const count of used.values()) expect(Math.abs(count - 20)).toBeLessThanOrEqual(20);
  });
});

describe('deterministic aperture (Finagle)', () => {
  const partOf = (index: number, clients: number, servers: readonly Endpoint[], floor = 12) =>
    deterministicAperture(floor, { index, count: clients }, hash64)(servers);

  test('all clients together load every endpoint the same, whatever their numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 }), (clients, count) => {
        const servers = serversOf(count);
        const load = new Map<Endpoint, number>();
        for (let index = 0; index < clients; index++) {
          const { endpoints, shares } = partOf(index, clients, servers);
          const total = shares.reduce((sum, share) => sum + share, 0);
          expect(total).toBeGreaterThanOrEqual(Math.min(12, count) - 1e-6);
          for (const [i, endpoint] of endpoints.entries()) {
            load.set(endpoint, (load.get(endpoint) ?? 0) + (shares[i] as number) / total);
          }
        }
        for (const server of servers) expect(load.get(server)).toBeCloseTo(clients / count, 6);
      }),
      { numRuns: 60 },
    );
  });

  test('connections: 100 clients of 300 servers have 14 at most each, not 300', () => {
    const servers = serversOf(300);
    for (let index = 0; index < 100; index++) {
      // 12 servers are four client units of three: an arc that begins between two has one more.
      expect(partOf(index, 100, servers).endpoints.length).toBeLessThanOrEqual(14);
    }
  });

  test('an endpoint that the end of the arc cuts through counts for the part inside', () => {
    // Three clients of 20 servers: units of 6 2/3, two of them for a floor of 12.
    const { endpoints, shares } = partOf(1, 3, serversOf(20));
    expect(shares.map((share) => Math.round(share * 100) / 100).filter((share) => share < 1)).toEqual([0.33]);
    expect(endpoints).toHaveLength(14);
  });

  test('one endpoint less moves the ends of the arc at most', () => {
    const servers = serversOf(100);
    for (let index = 0; index < 20; index++) {
      const before = new Set(partOf(index, 20, servers).endpoints);
      const after = partOf(index, 20, servers.slice(1)).endpoints;
      expect(after.filter((endpoint) => !before.has(endpoint)).length).toBeLessThanOrEqual(2);
    }
  });

  test('the place among peers is that of the configuration, else that of the mesh, else a random subset it is', () => {
    const placed = (peer: { index: number; count: number } | undefined) => ({
      aperture: { kind: 'deterministic_aperture', floor: 3, peer } satisfies ApertureConfig,
    });
    const endpoints = serversOf(30);
    const configured = aperture(placed({ index: 2, count: 10 }))(endpoints);
    expect(configured).toHaveLength(3);
    expect(aperture(placed(undefined), { peer: { index: 2, count: 10 } })(endpoints)).toEqual(configured);
    expect(aperture(placed({ index: 2, count: 10 }), { peer: { index: 5, count: 10 } })(endpoints)).toEqual(configured);
    const random = aperture(placed(undefined))(endpoints);
    expect(random).toHaveLength(3);
    expect(random).not.toEqual(configured);
  });
});

describe('what the endpoints used stand for', () => {
  const balancerOf = (used: readonly Endpoint[], subsets?: SubsetConfig) => {
    const balancer = createBalancer(
      { balancer: { kind: 'round_robin' }, ...(subsets && { subsets }) },
      { clock: new FakeClock(), random: seededRandom(1) },
    );
    balancer.update(used);
    return balancer;
  };
  const TWO = { kind: 'random_subsetting', size: 2 } as const;

  test('a label that few endpoints have is in every client, and weighs no more than it did', () => {
    const subsets: SubsetConfig = { fallback: 'any', defaultSubset: {}, selectors: [{ keys: ['version'] }] };
    const endpoints = serversOf(40, (i) => ({ labels: { version: i === 33 ? 'canary' : 'stable' } }));
    const used = aperture({ aperture: TWO, subsets })(endpoints);
    expect(used).toHaveLength(3);
    const balancer = balancerOf(used, subsets);
    expect([...picksOf(balancer, 10, { subset: { version: 'canary' } }).keys()]).toEqual([endpoints[33]]);
    expect(picksOf(balancer, 10, { subset: { version: 'stable' } }).size).toBe(2);
    expect(sharesOf(balancer, endpoints, 400)[33]).toBeCloseTo(1 / 40, 2);
  });

  test('so many of each priority, and of those that are unhealthy beside the others; all together, all of them', () => {
    const endpoints = serversOf(60, (i) => ({
      priority: i < 40 ? 0 : 1,
      health: i < 10 ? 'unhealthy' : i < 15 ? 'draining' : 'unknown',
    }));
    const used = aperture({ aperture: { kind: 'random_subsetting', size: 7 } })(endpoints);
    const count = (by: (endpoint: Endpoint) => boolean): readonly Endpoint[] => used.filter(by);
    const kinds: [(endpoint: Endpoint) => boolean, number, number][] = [
      [({ config }) => config.priority === 0 && config.health === 'unknown', 7, 25],
      [({ config }) => config.health === 'unhealthy', 7, 10],
      [({ config }) => config.health === 'draining', 5, 5],
      [({ config }) => config.priority === 1, 7, 20],
    ];
    for (const [kind, chosen, all] of kinds) {
      expect(count(kind)).toHaveLength(chosen);
      expect(standingFor(count(kind))).toBe(all);
    }
  });

  test('endpoints and localities weigh among those used as among all: all clients together load all endpoints alike', () => {
    // Two localities of the same weight for each of their endpoints.
    const endpoints = serversOf(40, (i) => ({
      locality: { region: '', zone: i < 30 ? 'a' : 'b', subZone: '' },
      localityWeight: i < 30 ? 3 : 1,
    }));
    const loads = new Map<Endpoint, number>();
    for (let index = 0; index < 20; index++) {
      const peer = { index, count: 20 };
      const used = aperture({ aperture: { kind: 'deterministic_aperture', floor: 4, peer } })(endpoints);
      const balancer = balancerOf(used);
      for (const [endpoint, picks] of picksOf(balancer, 400)) loads.set(endpoint, (loads.get(endpoint) ?? 0) + picks);
    }
    for (const endpoint of endpoints) expect(loads.get(endpoint)).toBeCloseTo(200, -1);
  });
});
