/* What do the policies do when a backend is slow, fails at once, or goes? In virtual time, the same in every run; docs/balancing.md has the plots. */
import type { BalancerConfig } from '../src/core/model/balancer.js';
import { beyondRoundRobin } from '../test/experiments/support/beyond-round-robin.js';
import { fastFailure } from '../test/experiments/support/fast-failure.js';
import { localityLoss } from '../test/experiments/support/locality-loss.js';
import { CAPACITY, computing, LIMITS, LOADS, pool } from '../test/experiments/support/overload.js';
import { POLICIES } from '../test/experiments/support/policies.js';
import { APERTURES, spreadOf } from '../test/experiments/support/subsetting.js';
import type { LimitBy } from '../test/experiments/support/simulation.js';
import { SMOKE } from './lib/compare.js';

const duration = (ms: number): number => (SMOKE ? 4_000 : ms);

/** By name, one after the other. */
async function each<T, R>(
  inputs: Readonly<Record<string, T>>,
  run: (input: T) => R | Promise<R>,
): Promise<Record<string, R>> {
  const results: Record<string, R> = {};
  for (const [name, input] of Object.entries(inputs)) results[name] = await run(input);
  return results;
}

function print(title: string, rows: Readonly<Record<string, string>>): void {
  console.log(`\n${title}`);
  for (const [name, value] of Object.entries(rows)) console.log(`  ${name.padEnd(30)} ${value}`);
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
const shown = <R>(results: Record<string, R>, show: (result: R) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(results).map(([name, result]) => [name, show(result)]));

const compared = ['round robin', 'least request', 'peak EWMA'];
const limits: Readonly<Record<string, LimitBy>> = { deadline: 'deadline', caller: 'caller', nobody: 'nobody' };
const beyond = await each(POLICIES, (balancer) => beyondRoundRobin(balancer, duration(180_000)));
const byLimit = await each(
  Object.fromEntries(compared.map((name) => [name, POLICIES[name] as BalancerConfig])),
  (balancer) =>
    each(limits, async (limitBy) => (await beyondRoundRobin(balancer, duration(180_000), limitBy)).successRate),
);
const failing = await each(POLICIES, (balancer) => fastFailure(balancer, duration(120_000)));
const localities = await each({ withdrawn: 'withdrawn', refused: 'refused' } as const, (kind) =>
  localityLoss(kind, duration(60_000)),
);
const apertures = await each(APERTURES, spreadOf);
const overloaded = await each({ workers: pool, handlers: computing }, (serve) =>
  each({ without: undefined, ...LIMITS }, (limit) => LOADS.map((load) => serve(load, limit, duration(40_000)))),
);
const overload = { capacity: CAPACITY, ...overloaded };

print(
  'Beyond round robin: success rate',
  shown(beyond, ({ successRate }) => percent(successRate)),
);
print(
  'The same, by who keeps the limit of a second',
  shown(byLimit, (rates) => Object.entries(shown(rates, percent)).join('; ')),
);
print(
  'A backend that fails at once: its share of the calls',
  shown(failing, ({ share }) => percent(share)),
);
print(
  'A locality lost and regained',
  shown(localities, ({ failed, spike }) => `${failed} failed, busiest ${spike.toFixed(2)} × fair`),
);
print(
  'Connections',
  shown(apertures, ({ connections, max }) => `${connections}, busiest ${max.toFixed(2)} × mean`),
);
for (const [kind, curves] of Object.entries(overloaded)) {
  print(
    `Overload of ${kind}: answered in time, a second, at ${LOADS.join(', ')} times the capacity`,
    shown(curves, (points) => points.map(({ goodput }) => goodput.toFixed(0)).join(', ')),
  );
}
const rounded = (_: string, value: unknown): unknown => (typeof value === 'number' ? Number(value.toFixed(4)) : value);
console.log(`JSON ${JSON.stringify({ beyond, byLimit, failing, localities, apertures, overload }, rounded)}`);
