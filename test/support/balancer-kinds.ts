import { type BalancingConfig, registerBalancer } from '../../src/client/balancer/balancer.js';
import type { Policy } from '../../src/client/balancer/policy.js';
import type { Endpoint } from '../../src/client/endpoints/endpoint.js';
import { DEFAULT_WEIGHTED_ROUND_ROBIN } from '../../src/core/model/balancer.js';
import type { EndpointConfig } from '../../src/core/model/endpoint.js';
import { emptyMetrics } from '../../src/core/orca-report.js';
import type { FakeClock } from './fake-clock.js';

/** One way of balancing that the suite goes over. */
export interface BalancerKind {
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
  /** What the endpoint at that position is besides its weight; such that shares are in proportion to weights 1, 1, 2, 4. */
  readonly where?: (position: number) => Partial<EndpointConfig>;
  /** Something happens before the shares are as they should be. */
  readonly settle?: (endpoints: readonly Endpoint[], clock: FakeClock) => Promise<void>;
}

const CHANCE = 0.013;
const SCHEDULE = 0.001;
const inZone = (zone: string): Partial<EndpointConfig> => ({ locality: { region: '', zone, subZone: '' } });

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

/** Every policy there is, by itself and with what may stand above it. */
export const BALANCER_KINDS: readonly BalancerKind[] = [
  { name: 'round robin', config: { balancer: { kind: 'round_robin' } }, bound: SCHEDULE },
  { name: 'random', config: { balancer: { kind: 'random' } }, bound: CHANCE },
  { name: 'least request', config: { balancer: { kind: 'least_request', choiceCount: 2 } }, bound: CHANCE },
  {
    name: 'least request of all',
    config: { balancer: { kind: 'least_request', choiceCount: 2, fullScan: true } },
    bound: CHANCE,
  },
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
  {
    name: 'ring hash with bounded loads',
    config: { balancer: { kind: 'ring_hash', minSize: 4_096, maxSize: 4_096, balanceFactor: 1.25 } },
    bound: 0.06,
  },
  {
    name: 'Maglev with bounded loads',
    config: { balancer: { kind: 'maglev', tableSize: 65_537, balanceFactor: 1.25 } },
    bound: CHANCE,
  },
  { name: 'pick first', config: { balancer: { kind: 'pick_first', shuffle: false } }, bound: undefined },
  { name: 'pick first, shuffled', config: { balancer: { kind: 'pick_first', shuffle: true } }, bound: undefined },
  {
    name: 'weighted round robin without reports: equal, whatever the weights',
    config: { balancer: DEFAULT_WEIGHTED_ROUND_ROBIN },
    bound: undefined,
  },
  {
    name: 'weighted round robin by what is reported',
    config: { balancer: { ...DEFAULT_WEIGHTED_ROUND_ROBIN, blackoutMs: 0 } },
    bound: SCHEDULE,
    settle: async (endpoints, clock) => {
      for (const { config, onReport } of endpoints)
        onReport?.({ ...emptyMetrics(), applicationUtilization: 0.5, rps: 100 * config.weight }, clock.now());
      await clock.advance(DEFAULT_WEIGHTED_ROUND_ROBIN.updateMs);
    },
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
    name: 'weights of localities',
    config: { balancer: { kind: 'least_request', choiceCount: 2 }, locality: { kind: 'weighted' } },
    bound: CHANCE,
    where: (position) => (position < 2 ? { ...inZone('a'), localityWeight: 2 } : { ...inZone('b'), localityWeight: 6 }),
  },
  {
    name: 'zone-aware, among three zones of which the client is in one',
    config: {
      balancer: { kind: 'round_robin' },
      locality: { kind: 'zone_aware', enabled: 1, minClusterSize: 2, forceLocal: undefined, failTrafficOnPanic: false },
    },
    bound: undefined,
    where: (position) => inZone(['a', 'b', 'c'][position % 3] as string),
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
    name: 'slow start, when all are new',
    config: { balancer: { kind: 'round_robin' }, slowStart: { windowMs: 10_000, aggression: 1, minWeight: 0.1 } },
    bound: SCHEDULE,
  },
];
