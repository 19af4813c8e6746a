import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { seededRandom } from '../../../src/core/random.js';
import { BALANCER_KINDS } from '../../support/balancer-kinds.js';
import { aLiveEndpoint, balancing as balancingAt, picksOf, sharesOf } from '../../support/balancing.js';

/** Where the zone-aware ones choose from. */
const here = { locality: { region: '', zone: 'a', subZone: '' } };

describe.each(BALANCER_KINDS)('every balancer: $name', ({ config, bound, where, settle }) => {
  const balancing = (weights: readonly number[], more: { readonly seed?: number } = {}) =>
    balancingAt(
      config,
      weights.map((weight, i) => ({ weight, ...where?.(i) })),
      { ...here, ...more },
    );

  test.skipIf(bound === undefined)('shares idle traffic by weight, within a stated bound', async () => {
    const weights = [1, 1, 2, 4];
    const { balancer, endpoints, clock } = balancing(weights);
    await settle?.(endpoints, clock);
    sharesOf(balancer, endpoints, 40_000).forEach((share, i) => {
      expect(Math.abs(share - (weights[i] as number) / 8)).toBeLessThan(bound as number);
    });
  });

  test('never picks an endpoint that is not in the last update, through any churn', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.uniqueArray(fc.nat(11), { maxLength: 12 }), { maxLength: 6 }),
        fc.integer(),
        (weights, updates, seed) => {
          const { balancer, endpoints } = balancing(weights, { seed });
          for (const update of updates) {
            const list = update.map((at) => endpoints[at]).filter((endpoint) => endpoint !== undefined);
            balancer.update(list);
            for (const picked of picksOf(balancer, 20).keys()) expect(list).toContain(picked);
            expect(balancer.pick({}) !== undefined).toBe(list.length > 0);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('reaches every endpoint that it shares among again after it was gone', () => {
    const { balancer, endpoints } = balancing([1, 1, 1, 1, 1, 1, 1, 1]);
    const reached = (): ReadonlySet<Endpoint> => new Set(picksOf(balancer, 400).keys());
    const before = reached();
    balancer.update(endpoints.slice(0, 3));
    balancer.update(endpoints);
    expect(reached().size).toBe(before.size);
  });

  test('has nothing to give when there is no endpoint, and always something when there is one', () => {
    const { balancer, endpoints } = balancing([1]);
    expect(balancer.pick({ tried: ['10.0.0.1:80'] })).toBe(endpoints[0]);
    balancer.update([]);
    expect(balancer.pick({})).toBeUndefined();
    balancer.update(endpoints);
    expect(balancer.pick({})).toBe(endpoints[0]);
  });

  test.skipIf(config.balancer.kind === 'custom')('avoids endpoints that were tried while there is another', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 8 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer(),
        (weights, hash, seed) => {
          const { balancer, endpoints } = balancing(weights, { seed });
          const tried = endpoints.slice(1).map((endpoint) => endpoint.key);
          for (let i = 0; i < 20; i++) expect(balancer.pick({ tried, hash })).toBe(endpoints[0]);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('the same seed makes the same picks', () => {
    const keys = (seed: number): (string | undefined)[] => {
      const { balancer } = balancing([1, 2, 3, 1, 2, 3], { seed });
      return Array.from({ length: 50 }, () => balancer.pick({})?.key);
    };
    expect(keys(5)).toEqual(keys(5));
  });

  test('changes as little as it has to when one endpoint in a thousand goes', () => {
    const { balancer, endpoints } = balancing(new Array<number>(1_000).fill(1));
    const random = seededRandom(9);
    const hashes = Array.from(
      { length: 500 },
      () => (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32)),
    );
    const byHash = (): (Endpoint | undefined)[] => hashes.map((hash) => balancer.pick({ hash }));
    const before = byHash();
    const gone = endpoints[500] as Endpoint;
    balancer.update(endpoints.filter((endpoint) => endpoint !== gone));
    const after = byHash();
    expect(after).not.toContain(gone);
    if (config.balancer.kind === 'ring_hash' || config.balancer.kind === 'maglev') {
      const moved = before.filter((endpoint, i) => endpoint !== gone && endpoint !== after[i]).length;
      // The ring has 4.1 entries for each of 1,000 endpoints: which of them have a fifth moves, about 200 entries of 4,096. Maglev: under 2 % in
      // its paper, for a table of this size.
      expect(moved / hashes.length).toBeLessThan(0.06);
    }
    if (config.balancer.kind === 'pick_first') expect(new Set([...before, ...after]).size).toBe(1);
  });

  test('is left clean by close', () => {
    const { balancer, endpoints } = balancing([1, 2, 3]);
    onTestFinished(() => expect(endpoints.every((endpoint) => endpoint.onReport === undefined)).toBe(true));
    picksOf(balancer, 10);
    balancer.close();
  });
});

describe('equal weights and unequal ones', () => {
  test('an endpoint whose weight is changed keeps its turn', () => {
    const { balancer, endpoints } = balancingAt({ balancer: { kind: 'round_robin' } }, [1, 1, 1]);
    const next = balancer.pick({});
    const turns = [next, balancer.pick({})];
    for (const endpoint of endpoints) endpoint.config = { ...endpoint.config, weight: endpoint === next ? 2 : 3 };
    balancer.update(endpoints);
    // The third has waited longest.
    expect(turns).not.toContain(balancer.pick({}));
  });

  test('an endpoint added to a rotation does not start it over', () => {
    const { balancer, endpoints } = balancingAt({ balancer: { kind: 'round_robin' } }, [1, 1, 1, 1]);
    const first = balancer.pick({}) as Endpoint;
    const at = endpoints.indexOf(first);
    balancer.update([aLiveEndpoint('10.1.0.1:80'), ...endpoints]);
    expect(balancer.pick({})).toBe(at < 3 ? endpoints[at + 1] : endpoints[0]);
  });
});
