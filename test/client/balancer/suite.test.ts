import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type BalancingConfig, registerBalancer } from '../../../src/client/balancer/balancer.js';
import type { Policy } from '../../../src/client/balancer/policy.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { DEFAULT_WEIGHTED_ROUND_ROBIN } from '../../../src/core/model/cluster.js';
import { seededRandom } from '../../../src/core/random.js';
import { aLiveEndpoint, balancing, picksOf, sharesOf } from '../../support/balancing.js';

interface Kind {
  readonly name: string;
  readonly config: BalancingConfig;
  /**
   * Largest difference of an endpoint's share of 40,000 picks from its weight's, for weights 1, 1, 2, 4 and calls with hashes drawn at random. Undefined:
   * it does not share.
   *
   * Chance alone is 5 standard deviations, 5 × √(0.25 ÷ 40,000) < 0.013, which draws by weight have. Schedules are within a few picks of exact. Static
   * stride rounds weights to 1/65,535. A choice of two falls to the first drawn when both cost the same. A ring of 4,096 entries has arcs of
   * random length: an endpoint's share p varies by √(p ÷ 4,096) < 0.012, five of which are 0.06. Maglev's table is exact to 1 in 65,537, then chance.
   */
  readonly bound: number | undefined;
}

const CHANCE = 0.013;
const SCHEDULE = 0.001;
/** An application's own, which leaves all to the frame around it. */
const aPolicy = (): Policy => {
  let first: Endpoint | undefined;
  return {
    update(list) {
      first = list[0];
    },
    pick: () => first,
  };
};
registerBalancer('test/first', aPolicy);

const kinds: readonly Kind[] = [
  { name: 'round robin', config: { balancer: { kind: 'round_robin' } }, bound: SCHEDULE },
  { name: 'random', config: { balancer: { kind: 'random' } }, bound: CHANCE },
  { name: 'least request', config: { balancer: { kind: 'least_request', choiceCount: 2 } }, bound: CHANCE },
  { name: 'least request of ten', config: { balancer: { kind: 'least_request', choiceCount: 10 } }, bound: CHANCE },
  {
    name: 'weighted least request',
    config: { balancer: { kind: 'least_request', choiceCount: 2, activeRequestBias: 1 } },
    bound: SCHEDULE,
  },
  {
    name: 'peak EWMA',
    config: { balancer: { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 } },
    bound: CHANCE,
  },
  { name: 'ring hash', config: { balancer: { kind: 'ring_hash', minSize: 4_096, maxSize: 4_096 } }, bound: 0.06 },
  { name: 'Maglev', config: { balancer: { kind: 'maglev', tableSize: 65_537 } }, bound: CHANCE },
  { name: 'pick first', config: { balancer: { kind: 'pick_first', shuffle: false } }, bound: undefined },
  { name: 'pick first, shuffled', config: { balancer: { kind: 'pick_first', shuffle: true } }, bound: undefined },
  {
    name: 'weighted round robin without reports: equal, whatever the weights',
    config: { balancer: DEFAULT_WEIGHTED_ROUND_ROBIN },
    bound: undefined,
  },
  { name: 'custom', config: { balancer: { kind: 'custom', name: 'test/first', config: {} } }, bound: undefined },
  {
    name: 'zone-aware',
    config: {
      balancer: { kind: 'round_robin' },
      locality: { kind: 'zone_aware', enabled: 1, minClusterSize: 6, forceLocal: undefined, failTrafficOnPanic: false },
    },
    bound: SCHEDULE,
  },
  {
    name: 'subsets, of which none is asked for',
    config: {
      balancer: { kind: 'round_robin' },
      subsets: { fallback: 'any', defaultSubset: {}, selectors: [{ keys: ['version'] }] },
    },
    bound: SCHEDULE,
  },
  {
    name: 'random subsetting, of a size that holds all',
    config: { balancer: { kind: 'random' }, aperture: { kind: 'random_subsetting', size: 8 } },
    bound: CHANCE,
  },
  {
    name: 'deterministic aperture, of a width that holds all',
    config: {
      balancer: { kind: 'least_request', choiceCount: 2 },
      aperture: { kind: 'deterministic_aperture', floor: 12, peer: { index: 3, count: 7 } },
    },
    bound: CHANCE,
  },
  {
    name: 'slow start, when all are new',
    config: { balancer: { kind: 'round_robin' }, slowStart: { windowMs: 10_000, aggression: 1, minWeight: 0.1 } },
    bound: SCHEDULE,
  },
];

describe.each(kinds)('every balancer: $name', ({ config, bound }) => {
  test.skipIf(bound === undefined)('shares idle traffic by weight, within a stated bound', () => {
    const weights = [1, 1, 2, 4];
    const { balancer, endpoints } = balancing(config, weights);
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
          const { balancer, endpoints } = balancing(config, weights, { seed });
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
    const { balancer, endpoints } = balancing(config, [1, 1, 1, 1, 1, 1, 1, 1]);
    const reached = (): ReadonlySet<Endpoint> => new Set(picksOf(balancer, 400).keys());
    const before = reached();
    balancer.update(endpoints.slice(0, 3));
    balancer.update(endpoints);
    expect(reached().size).toBe(before.size);
  });

  test('has nothing to give when there is no endpoint, and always something when there is one', () => {
    const { balancer, endpoints } = balancing(config, [1]);
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
          const { balancer, endpoints } = balancing(config, weights, { seed });
          const tried = endpoints.slice(1).map((endpoint) => endpoint.key);
          for (let i = 0; i < 20; i++) expect(balancer.pick({ tried, hash })).toBe(endpoints[0]);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('the same seed makes the same picks', () => {
    const keys = (seed: number): (string | undefined)[] => {
      const { balancer } = balancing(config, [1, 2, 3, 1, 2, 3], { seed });
      return Array.from({ length: 50 }, () => balancer.pick({})?.key);
    };
    expect(keys(5)).toEqual(keys(5));
  });

  test('changes as little as it has to when one endpoint in a thousand goes', () => {
    const { balancer, endpoints } = balancing(config, new Array<number>(1_000).fill(1));
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
    const { balancer, endpoints } = balancing(config, [1, 2, 3]);
    onTestFinished(() => expect(endpoints.every((endpoint) => endpoint.onReport === undefined)).toBe(true));
    picksOf(balancer, 10);
    balancer.close();
  });
});

describe('equal weights and unequal ones', () => {
  test('an endpoint whose weight is changed keeps its turn', () => {
    const { balancer, endpoints } = balancing({ balancer: { kind: 'round_robin' } }, [1, 1, 1]);
    const next = balancer.pick({});
    const turns = [next, balancer.pick({})];
    for (const endpoint of endpoints) endpoint.config = { ...endpoint.config, weight: endpoint === next ? 2 : 3 };
    balancer.update(endpoints);
    // The third has waited longest.
    expect(turns).not.toContain(balancer.pick({}));
  });

  test('an endpoint added to a rotation does not start it over', () => {
    const { balancer, endpoints } = balancing({ balancer: { kind: 'round_robin' } }, [1, 1, 1, 1]);
    const first = balancer.pick({}) as Endpoint;
    const at = endpoints.indexOf(first);
    balancer.update([aLiveEndpoint('10.1.0.1:80'), ...endpoints]);
    expect(balancer.pick({})).toBe(at < 3 ? endpoints[at + 1] : endpoints[0]);
  });
});
