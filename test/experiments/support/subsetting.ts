import type { ApertureConfig } from '../../../src/core/model/balancer.js';
import { aperture } from '../../support/apertures.js';
import { aLiveEndpoint, picksOf } from '../../support/balancing.js';
import { createBalancer } from '../../../src/client/balancer/balancer.js';
import { seededRandom } from '../../../src/core/random.js';
import { FakeClock } from '../../support/fake-clock.js';

/* 100 clients of the same traffic, 300 servers: which connections each opens, and how evenly the servers are loaded. */
export const CLIENTS = 100;
export const SERVERS = 300;
/** Endpoints that each client is to use. */
export const SIZE = 20;
/** A whole number for each server, whatever the subset. */
const CALLS_PER_CLIENT = 6_000;

export interface Spread {
  /** Pairs of a client and a server between which calls went. */
  readonly connections: number;
  /** Load of the busiest and the idlest server, and the standard deviation, ÷ the mean. */
  readonly max: number;
  readonly min: number;
  readonly deviation: number;
  /** Servers' loads ÷ the mean, the busiest first. */
  readonly loads: readonly number[];
}

export const APERTURES: Readonly<Record<string, (index: number) => ApertureConfig | undefined>> = {
  none: () => undefined,
  'random subsetting of 20': () => ({ kind: 'random_subsetting', size: SIZE }),
  'deterministic aperture of 20': (index) => ({
    kind: 'deterministic_aperture',
    floor: SIZE,
    peer: { index, count: CLIENTS },
  }),
};

export function spreadOf(apertureOf: (index: number) => ApertureConfig | undefined): Spread {
  const keys = Array.from({ length: SERVERS }, (_, i) => `10.0.${Math.floor(i / 250)}.${(i % 250) + 1}:80`);
  const loads = new Map(keys.map((key) => [key, 0]));
  let connections = 0;
  for (let index = 0; index < CLIENTS; index++) {
    const use = aperture({ aperture: apertureOf(index) }, { client: index });
    const balancer = createBalancer(
      { balancer: { kind: 'round_robin' } },
      { clock: new FakeClock(), random: seededRandom(index) },
    );
    balancer.update(use(keys.map((key) => aLiveEndpoint(key))));
    for (const [{ key }, picks] of picksOf(balancer, CALLS_PER_CLIENT)) {
      connections++;
      loads.set(key, (loads.get(key) as number) + picks);
    }
  }
  const mean = (CLIENTS * CALLS_PER_CLIENT) / SERVERS;
  const relative = [...loads.values()].map((load) => load / mean).sort((a, b) => b - a);
  return {
    connections,
    max: relative[0] as number,
    min: relative.at(-1) as number,
    deviation: Math.sqrt(relative.reduce((sum, load) => sum + (load - 1) ** 2, 0) / SERVERS),
    loads: relative,
  };
}
