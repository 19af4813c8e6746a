import {
  type Balancer,
  type BalancerEnv,
  type BalancingConfig,
  createBalancer,
} from '../../src/client/balancer/balancer.js';
import { loadHash64 } from '../../src/client/balancer/hash.js';
import { PeakEwma } from '../../src/client/balancer/peak-ewma.js';
import type { PickRequest } from '../../src/client/balancer/policy.js';
import { Endpoint } from '../../src/client/endpoints/endpoint.js';
import type { EndpointConfig } from '../../src/core/model/endpoint.js';
import { seededRandom } from '../../src/core/random.js';
import type { Transport } from '../../src/core/transport.js';
import { anEndpoint } from './endpoints.js';
import { FakeClock } from './fake-clock.js';

export const hash64 = await loadHash64();

/** Where a connection is never made and never refused. */
const idle: Transport = {
  call: () => Promise.reject(new Error('a balancer sends no call')),
  connect: () => new Promise(() => {}),
  connections: 0,
  close: () => Promise.resolve(),
};

/** An endpoint that nobody has connected to. */
export function aLiveEndpoint(at: string, more: Partial<EndpointConfig> = {}, now = 0): Endpoint {
  return new Endpoint(anEndpoint(at, more), new PeakEwma(10_000, 30, now), () => idle, now);
}

/** A balancer among endpoints `10.0.x.y:80` of these weights, or as configured, with a clock and a seed of its own. */
export function balancing(
  config: BalancingConfig,
  endpoints: readonly (number | Partial<EndpointConfig>)[],
  more: Partial<BalancerEnv> & { readonly seed?: number } = {},
) {
  const clock = new FakeClock();
  const live = endpoints.map((endpoint, i) =>
    aLiveEndpoint(
      `10.0.${Math.floor(i / 250)}.${(i % 250) + 1}:80`,
      typeof endpoint === 'number' ? { weight: endpoint } : endpoint,
      clock.now(),
    ),
  );
  const { seed = 1, ...env } = more;
  const balancer = createBalancer(config, { clock, random: seededRandom(seed), hash64, ...env });
  balancer.update(live);
  return { balancer, endpoints: live, clock };
}

/** How often each endpoint is picked; nothing that is picked ends or takes any time. */
export function picksOf(balancer: Balancer, picks: number, request: PickRequest = {}): Map<Endpoint, number> {
  const counts = new Map<Endpoint, number>();
  for (let i = 0; i < picks; i++) {
    const picked = balancer.pick(request);
    if (picked !== undefined) counts.set(picked, (counts.get(picked) ?? 0) + 1);
  }
  return counts;
}

/** Shares of the picks, in the order of `endpoints`. */
export function sharesOf(
  balancer: Balancer,
  endpoints: readonly Endpoint[],
  picks: number,
  request: PickRequest = {},
): number[] {
  const counts = picksOf(balancer, picks, request);
  return endpoints.map((endpoint) => (counts.get(endpoint) ?? 0) / picks);
}
