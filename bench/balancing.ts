/* What does a pick cost, by policy and number of endpoints? And what does it cost to replace a tenth of 10,000 endpoints? */
import { createBalancer } from '../src/client/balancer/balancer.js';
import { loadHash64 } from '../src/client/balancer/hash.js';
import { PeakEwma } from '../src/client/balancer/peak-ewma.js';
import type { PickRequest } from '../src/client/balancer/policy.js';
import { Cluster } from '../src/client/endpoints/cluster.js';
import { Endpoint } from '../src/client/endpoints/endpoint.js';
import { UnderWay } from '../src/client/endpoints/under-way.js';
import { systemClock } from '../src/core/clock.js';
import type { ClusterConfig } from '../src/core/model/cluster.js';
import { DEFAULT_BALANCER, DEFAULT_WEIGHTED_ROUND_ROBIN } from '../src/core/model/balancer.js';
import { seededRandom } from '../src/core/random.js';
import type { Reply } from '../src/core/reply.js';
import { aCall } from '../test/support/calls.js';
import { memoryEnv } from '../test/support/client-env.js';
import { anEndpoint } from '../test/support/endpoints.js';
import { aCluster } from '../test/support/targets.js';
import { compareCpu, report, SMOKE } from './lib/compare.js';

type Balancing = Pick<ClusterConfig, 'balancer'>;

const hash64 = await loadHash64();
const PICKS = 100;

const policies: Readonly<Record<string, Balancing & { readonly weights?: boolean }>> = {
  'round robin': { balancer: { kind: 'round_robin' } },
  'round robin, weights differ': { balancer: { kind: 'round_robin' }, weights: true },
  random: { balancer: { kind: 'random' } },
  'random, weights differ': { balancer: { kind: 'random' }, weights: true },
  'least request': { balancer: { kind: 'least_request', choiceCount: 2 } },
  'weighted least request, weights differ': {
    balancer: { kind: 'least_request', choiceCount: 2, activeRequestBias: 1 },
    weights: true,
  },
  'peak EWMA': { balancer: DEFAULT_BALANCER },
  'weighted round robin': { balancer: DEFAULT_WEIGHTED_ROUND_ROBIN },
  'ring hash': { balancer: { kind: 'ring_hash', minSize: 1_024, maxSize: 4_096 } },
  'ring hash, bounded loads': { balancer: { kind: 'ring_hash', minSize: 1_024, maxSize: 4_096, balanceFactor: 1.5 } },
  Maglev: { balancer: { kind: 'maglev', tableSize: 65_537 } },
  'pick first': { balancer: { kind: 'pick_first', shuffle: false } },
};

const address = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`;

/** Endpoints that have been used a little: no two are quite alike. */
function endpoints(count: number, weighty: boolean): Endpoint[] {
  const now = systemClock.now();
  const random = seededRandom(1);
  return Array.from({ length: count }, (_, i) => {
    const endpoint = new Endpoint(
      anEndpoint(address(i), { weight: weighty ? 1 + (i % 5) : 1 }),
      new PeakEwma(10_000, 30, now),
      () => {
        throw new Error('a pick opens no connection');
      },
      now,
    );
    endpoint.latency.observe(10 + random.next() * 40, now);
    endpoint.inflight = random.int(4);
    return endpoint;
  });
}

function picker({ weights, ...config }: (typeof policies)[string], count: number): () => undefined {
  const random = seededRandom(2);
  const list = endpoints(count, weights === true);
  const calls = list.reduce((sum, { inflight }) => sum + inflight, 1);
  const balancer = createBalancer(config, { clock: systemClock, random, hash64, underWay: () => calls });
  balancer.update(list);
  const requests: PickRequest[] = Array.from({ length: PICKS }, () => ({
    hash: (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32)),
  }));
  return () => {
    for (let i = 0; i < PICKS; i++) balancer.pick(requests[i] as PickRequest);
    return undefined;
  };
}

const picks = [];
for (const [name, config] of Object.entries(policies)) {
  picks.push(
    await compareCpu({
      question: `A pick by ${name}, by number of endpoints`,
      sides: (SMOKE ? [10] : [10, 100, 1_000, 10_000]).map((count) => ({
        name: `${count}`,
        open: async () => ({ once: picker(config, count) }),
      })),
      concurrency: 1,
      perRun: 10_000,
      runs: 3,
      each: { what: 'pick', perOnce: PICKS },
    }),
  );
}

/** A cluster that is told of other endpoints at each turn: 9,000 remain, 1,000 go and 1,000 come. */
function replacer(config: Balancing, changed: number): { once: () => Promise<Reply>; close: () => Promise<void> } {
  const count = SMOKE ? 100 : 10_000;
  const { env } = memoryEnv();
  const listFrom = (from: number): ClusterConfig => {
    const list = Array.from({ length: count }, (_, i) => address(i < changed ? from + i : 2 * count + i));
    return { ...aCluster('reviews', list), ...config };
  };
  const lists = [listFrom(0), listFrom(count)];
  const cluster = new Cluster(lists[0] as ClusterConfig, { ...env, hash64 }, new UnderWay());
  let turn = 0;
  const once = (): Promise<Reply> => {
    turn++;
    // A control plane's answer is decoded anew each time: no endpoint's configuration is the same object as before.
    const { endpoints: list, ...rest } = lists[turn & 1] as ClusterConfig;
    cluster.update({ ...rest, endpoints: list.map((endpoint) => ({ ...endpoint })) });
    // With the first call: some of what is made of a list is made then.
    return cluster.service(aCall());
  };
  return { once, close: () => cluster.close() };
}

const replaced = await compareCpu({
  question: 'Replacing 1,000 of 10,000 endpoints, by policy',
  sides: (
    [
      'round robin',
      'random',
      'least request',
      'peak EWMA',
      'weighted round robin',
      'ring hash',
      'Maglev',
      'pick first',
    ] as const
  ).map((name) => ({ name, open: async () => replacer(policies[name] as Balancing, SMOKE ? 10 : 1_000) })),
  concurrency: 1,
  perRun: 30,
  runs: 3,
});
report(...picks, replaced);
