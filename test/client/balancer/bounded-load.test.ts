import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { Cluster } from '../../../src/client/endpoints/cluster.js';
import { UnderWay } from '../../../src/client/endpoints/under-way.js';
import { balancing, hash64 } from '../../support/balancing.js';
import { aCall } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster } from '../../support/targets.js';

const hashing = (balanceFactor: number | undefined): BalancerConfig[] => [
  { kind: 'ring_hash', minSize: 1_024, maxSize: 4_096, balanceFactor },
  { kind: 'maglev', tableSize: 251, balanceFactor },
];

const total = (endpoints: readonly Endpoint[]): number => endpoints.reduce((sum, { inflight }) => sum + inflight, 0);

describe.each(hashing(1.25))('bounded loads (Envoy hash_balance_factor): $kind', (balancer) => {
  test('no endpoint that is picked has more than the factor times its share of the calls under way', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(1, 1.25, 2, 10),
        // A few hashes, so that some endpoints are wanted much more than others; undefined ends a call.
        fc.array(fc.option(fc.bigInt({ min: 0n, max: 3n })), { maxLength: 80 }),
        (weights, balanceFactor, calls) => {
          const made = balancing({ balancer: { ...balancer, balanceFactor } as BalancerConfig }, weights);
          const all = weights.reduce((sum, weight) => sum + weight, 0);
          const open: Endpoint[] = [];
          for (const hash of calls) {
            if (hash === null) {
              const done = open.shift();
              if (done !== undefined) done.inflight--;
              continue;
            }
            const picked = made.balancer.pick({ hash: hash * 0x1234_5678_9abc_def1n }) as Endpoint;
            picked.inflight++;
            open.push(picked);
            const slots = Math.ceil(total(made.endpoints) * balanceFactor);
            expect(picked.inflight).toBeLessThanOrEqual(Math.max(1, Math.ceil((slots * picked.config.weight) / all)));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('while there is room a hash stays where it would be without the bound', () => {
    const [ring, maglev] = hashing(undefined);
    const free = balancing({ balancer: (balancer.kind === 'maglev' ? maglev : ring) as BalancerConfig }, [1, 1, 1, 1]);
    const bound = balancing({ balancer }, [1, 1, 1, 1]);
    for (let hash = 0n; hash < 2n ** 64n; hash += 2n ** 58n) {
      expect(bound.balancer.pick({ hash })?.key).toBe(free.balancer.pick({ hash })?.key);
    }
  });

  test('what is too much for one goes to others in an order of the hash: the same each time, and not to one alone', () => {
    const { balancer: balancing_, endpoints } = balancing({ balancer }, new Array<number>(50).fill(1));
    const second = new Set<Endpoint | undefined>();
    const random = [...Array(200).keys()].map((i) => BigInt.asUintN(64, BigInt(i) * 0x9e37_79b9_7f4a_7c15n));
    const [popular] = endpoints as [Endpoint];
    const its = random.filter((hash) => balancing_.pick({ hash }) === popular);
    popular.inflight = 10;
    for (const hash of its) {
      const other = balancing_.pick({ hash });
      expect(other).not.toBe(popular);
      expect(balancing_.pick({ hash })).toBe(other);
      second.add(other);
    }
    expect(its.length).toBeGreaterThan(1);
    expect(second.size).toBeGreaterThan(1);
  });

  test('none that was tried or cannot be reached is passed to; with no room anywhere else, the least full serves', () => {
    const { balancer: balancing_, endpoints } = balancing({ balancer }, [1, 1, 1, 1]);
    const first = balancing_.pick({ hash: 7n }) as Endpoint;
    const [second, third, fourth] = endpoints.filter((endpoint) => endpoint !== first) as [
      Endpoint,
      Endpoint,
      Endpoint,
    ];
    first.inflight = 9;
    second.connectFailed(0);
    expect(balancing_.pick({ hash: 7n, tried: [third.key] })).toBe(fourth);
    fourth.inflight = 8;
    expect(balancing_.pick({ hash: 7n, tried: [third.key] })).toBe(fourth);
    fourth.inflight = 10;
    expect(balancing_.pick({ hash: 7n, tried: [third.key] })).toBe(first);
  });

  test('in a cluster: calls of one hash that are not answered spread as far as the bound asks', async () => {
    const { env, sent } = memoryEnv(() => new Promise(() => {}));
    const keys = [1, 2, 3, 4].map((i) => `10.0.0.${i}:80`);
    const cluster = new Cluster(aCluster('reviews', keys, { balancer }), { ...env, hash64 }, new UnderWay());
    for (let i = 0; i < 20; i++) {
      const call = aCall();
      call.hash = 7n;
      void cluster.service(call).catch(() => {});
    }
    const counts = keys.map((key) => sent.filter(({ endpoint }) => endpoint === key).length);
    // ⌈⌈20 × 1.25⌉ ÷ 4⌉
    expect(Math.max(...counts)).toBe(7);
    expect(counts.reduce((sum, count) => sum + count)).toBe(20);
    await cluster.close();
  });
});
