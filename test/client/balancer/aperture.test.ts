import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BalancingConfig } from '../../../src/client/balancer/balancer.js';
import { deterministicAperture } from '../../../src/client/balancer/deterministic-aperture.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { aLiveEndpoint, balancing, hash64, picksOf, sharesOf } from '../../support/balancing.js';

const ones = (count: number): number[] => new Array<number>(count).fill(1);

describe('random subsetting (A68)', () => {
  const config = (size: number): BalancingConfig => ({
    balancer: { kind: 'round_robin' },
    aperture: { kind: 'random_subsetting', size },
  });

  test('a client uses so many endpoints and no more: those of the smallest hashes under its seed', () => {
    const { balancer, endpoints } = balancing(config(5), ones(50), { subsetSeed: 7n });
    const expected = [...endpoints].sort((a, b) => (hash64(a.key, 7n) < hash64(b.key, 7n) ? -1 : 1)).slice(0, 5);
    expect(new Set(picksOf(balancer, 100).keys())).toEqual(new Set(expected));
  });

  test('one endpoint more or less changes at most one of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 2, max: 40 }), fc.nat(), (size, count, victim) => {
        const { balancer, endpoints } = balancing(config(size), ones(count), { subsetSeed: 3n });
        const used = (): ReadonlySet<Endpoint> => new Set(picksOf(balancer, 100).keys());
        const before = used();
        expect(before.size).toBe(Math.min(size, count));
        const gone = endpoints[victim % count] as Endpoint;
        balancer.update(endpoints.filter((endpoint) => endpoint !== gone));
        const after = used();
        const kept = [...before].filter((endpoint) => after.has(endpoint)).length;
        expect(kept).toBeGreaterThanOrEqual(before.size - 1);
        if (!before.has(gone)) expect(kept).toBe(before.size);
        balancer.update(endpoints);
        expect(used()).toEqual(before);
      }),
      { numRuns: 50 },
    );
  });

  test('many clients together use all endpoints about equally', () => {
    const used = new Map<string, number>();
    for (let client = 0; client < 100; client++) {
      const { balancer } = balancing(config(10), ones(50), { seed: client });
      for (const endpoint of picksOf(balancer, 30).keys()) used.set(endpoint.key, (used.get(endpoint.key) ?? 0) + 1);
    }
    // 20 each on the average; a binomial of 100 clients at 0.2 has a standard deviation of 4: five of them.
    expect(used.size).toBe(50);
    for (const count of used.values()) expect(Math.abs(count - 20)).toBeLessThanOrEqual(20);
  });
});

describe('deterministic aperture (Finagle)', () => {
  const partOf = (index: number, clients: number, servers: readonly Endpoint[], floor = 12) =>
    deterministicAperture(floor, { index, count: clients }, hash64)(servers, ones(servers.length));
  const serversOf = (count: number): Endpoint[] =>
    Array.from({ length: count }, (_, i) => aLiveEndpoint(`10.2.${Math.floor(i / 250)}.${i % 250}:80`));

  test('all clients together load every endpoint the same, whatever their numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 }), (clients, count) => {
        const servers = serversOf(count);
        const load = new Map<Endpoint, number>();
        for (let index = 0; index < clients; index++) {
          const { endpoints, weights } = partOf(index, clients, servers);
          const total = Array.from(weights).reduce((sum, weight) => sum + weight, 0);
          expect(total).toBeGreaterThanOrEqual(Math.min(12, count) - 1e-6);
          for (const [i, endpoint] of endpoints.entries()) {
            load.set(endpoint, (load.get(endpoint) ?? 0) + (weights[i] as number) / total);
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
    const { endpoints, weights } = partOf(1, 3, serversOf(20));
    expect(Array.from(weights, (weight) => Math.round(weight * 100) / 100).filter((weight) => weight < 1)).toEqual([
      0.33,
    ]);
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
    const config = (peer: { index: number; count: number } | undefined): BalancingConfig => ({
      balancer: { kind: 'random' },
      aperture: { kind: 'deterministic_aperture', floor: 3, peer },
    });
    const used = (made: ReturnType<typeof balancing>): string[] =>
      [...picksOf(made.balancer, 300).keys()].map(({ key }) => key).sort();
    const configured = used(balancing(config({ index: 2, count: 10 }), ones(30)));
    expect(configured).toHaveLength(3);
    expect(used(balancing(config(undefined), ones(30), { peer: { index: 2, count: 10 } }))).toEqual(configured);
    expect(used(balancing(config({ index: 2, count: 10 }), ones(30), { peer: { index: 5, count: 10 } }))).toEqual(
      configured,
    );
    const random = used(balancing(config(undefined), ones(30), { subsetSeed: 1n }));
    expect(random).toHaveLength(3);
    expect(random).not.toEqual(configured);
  });

  test('below subsets: a label that few endpoints have is in every client', () => {
    const { balancer, endpoints } = balancing(
      {
        balancer: { kind: 'round_robin' },
        aperture: { kind: 'random_subsetting', size: 2 },
        subsets: { fallback: 'any', defaultSubset: {}, selectors: [{ keys: ['version'] }] },
      },
      Array.from({ length: 40 }, (_, i) => ({ labels: { version: i === 33 ? 'canary' : 'stable' } })),
    );
    expect([...picksOf(balancer, 10, { subset: { version: 'canary' } }).keys()]).toEqual([endpoints[33]]);
    expect(picksOf(balancer, 10, { subset: { version: 'stable' } }).size).toBe(2);
    expect(sharesOf(balancer, endpoints, 100).filter((share) => share > 0)).toHaveLength(2);
  });
});
