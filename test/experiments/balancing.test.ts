import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BeyondRoundRobin, beyondRoundRobin } from './support/beyond-round-robin.js';
import { FAIR_SHARE, type FastFailure, fastFailure } from './support/fast-failure.js';
import { type LocalityLoss, localityLoss } from './support/locality-loss.js';
import { POLICIES } from './support/policies.js';
import { APERTURES, CLIENTS, SERVERS, SIZE, spreadOf } from './support/subsetting.js';

/*
 * Experiments in virtual time, through the whole client but for its sockets; the same in every run. `npm run bench -- experiments` makes longer ones, and
 * `npm run plots` what docs/balancing.md shows of them.
 */

const names = Object.keys(POLICIES);

/** A table for whoever runs the tests. */
function print(title: string, rows: readonly (readonly [string, string])[]): void {
  console.log([title, ...rows.map(([name, value]) => `  ${name.padEnd(24)} ${value}`)].join('\n'));
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

describe('beyond round robin: one of 11 backends takes 2 s for half of the run, with 1 s to each call', () => {
  const results = new Map<string, BeyondRoundRobin>();
  const of = (name: string): BeyondRoundRobin => results.get(name) as BeyondRoundRobin;
  beforeAll(async () => {
    for (const [name, balancer] of Object.entries(POLICIES))
      results.set(name, await beyondRoundRobin(balancer, 40_000));
  });
  afterAll(() =>
    print(
      'success rate',
      [...results].map(([name, { successRate }]) => [name, percent(successRate)]),
    ),
  );

  test('round robin, random and weights by utilisation lose what goes to the slow one: 1 in 22 calls', () => {
    for (const name of ['round robin', 'random', 'weighted round robin']) {
      expect(of(name).successRate, name).toBeGreaterThan(0.945);
      expect(of(name).successRate, name).toBeLessThan(0.965);
    }
  });

  test('least request loses a fifth of that, as its calls pile up there', () => {
    for (const name of names.filter((policy) => policy.includes('least request'))) {
      expect(of(name).successRate, name).toBeGreaterThan(0.985);
    }
  });

  test('peak EWMA loses the least of all', () => {
    expect(of('peak EWMA').successRate).toBeGreaterThan(0.995);
    for (const name of names.filter((policy) => policy !== 'peak EWMA')) {
      expect(of('peak EWMA').successRate, name).toBeGreaterThan(of(name).successRate);
    }
  });

  test('peak EWMA serves 99.9 % of three minutes', async () => {
    const { successRate } = await beyondRoundRobin(POLICIES['peak EWMA'] as (typeof POLICIES)[string], 180_000);
    expect(successRate).toBeGreaterThanOrEqual(0.999);
  });

  test('peak EWMA gives 99.8 % and more their replies in time when the slow replies are waited for', async () => {
    const { successRate } = await beyondRoundRobin(
      POLICIES['peak EWMA'] as (typeof POLICIES)[string],
      120_000,
      'nobody',
    );
    expect(successRate).toBeGreaterThan(0.998);
  });

  test('the same seed replays the same run', async () => {
    const { successRate, bySecond } = of('peak EWMA');
    const again = await beyondRoundRobin(POLICIES['peak EWMA'] as (typeof POLICIES)[string], 40_000);
    expect([again.successRate, again.bySecond]).toEqual([successRate, bySecond]);
  });
});

describe('a backend that fails at once', () => {
  const results = new Map<string, FastFailure>();
  const of = (name: string): FastFailure => results.get(name) as FastFailure;
  beforeAll(async () => {
    for (const [name, balancer] of Object.entries(POLICIES)) results.set(name, await fastFailure(balancer, 40_000));
  });
  afterAll(() =>
    print(
      'share of the failing backend; 10 % were fair',
      [...results].map(([name, { share }]) => [name, percent(share)]),
    ),
  );

  test('attracts no call of peak EWMA but those that look whether it is back', () => {
    expect(of('peak EWMA').share).toBeLessThan(FAIR_SHARE / 100);
  });

  test('attracts least request: each draw of it wins, for it never has calls under way', () => {
    // Drawn among `choices` of 10.
    expect(of('least request').share).toBeGreaterThan(1.8 * FAIR_SHARE);
    expect(of('least request of 10').share).toBeGreaterThan(4 * FAIR_SHARE);
  });

  test('gets its share of what goes in turns or by chance', () => {
    for (const name of ['round robin', 'random']) {
      expect(Math.abs(of(name).share - FAIR_SHARE), name).toBeLessThan(0.01);
    }
  });

  test('is won back with care: it has calls again within half a minute of being well', async () => {
    const { bySecond } = await fastFailure(POLICIES['peak EWMA'] as (typeof POLICIES)[string], 120_000);
    const well = bySecond.slice(90);
    // What a failure weighs, 5 s, has faded by e³ then, and is near what a call among others costs.
    expect(Math.max(...well.slice(-5))).toBeGreaterThan(FAIR_SHARE / 3);
    // Never all at once.
    expect(Math.max(...well)).toBeLessThan(2 * FAIR_SHARE);
  });
});

describe('a locality lost and regained', () => {
  /** Of an endpoint's fair rate, over half a second: 50 calls, so that chance alone gives the busiest of ten about 1.3, five deviations 1.7. */
  const SPIKE = 1.7;
  const results = new Map<string, LocalityLoss>();
  afterAll(() =>
    print(
      'locality lost and regained',
      [...results].map(([kind, { failed, spike, returnMs }]) => [
        kind,
        `${failed} failed, busiest ${spike.toFixed(2)} × fair, back after ${returnMs} ms`,
      ]),
    ),
  );

  test('withdrawn by the control plane, it is left and taken back at once: no call fails, and nobody is overrun', async () => {
    const result = await localityLoss('withdrawn', 60_000);
    results.set('withdrawn', result);
    expect(result).toMatchObject({ failed: 0, failoverMs: 0, returnMs: 0 });
    expect(result.spike).toBeLessThan(SPIKE);
  });

  test('refusing connections, it is left at once, and no call fails; it is looked at beside the calls until it is back', async () => {
    const result = await localityLoss('refused', 60_000);
    results.set('refused', result);
    expect(result).toMatchObject({ failed: 0, failoverMs: 0 });
    expect(result.spike).toBeLessThan(SPIKE);
    // Back-off grows by 1.6 with 20 % jitter: after 10 s away the next look at any of its endpoints is at most 10 s off.
    expect(result.returnMs).toBeLessThan(15_000);
  });
});

describe('connections of 100 clients to 300 servers', () => {
  const all = Object.entries(APERTURES).map(([name, apertureOf]) => [name, spreadOf(apertureOf)] as const);
  const [none, random, deterministic] = all.map(([, spread]) => spread) as [
    ReturnType<typeof spreadOf>,
    ReturnType<typeof spreadOf>,
    ReturnType<typeof spreadOf>,
  ];
  afterAll(() =>
    print(
      'connections, and load ÷ mean',
      all.map(([name, { connections, max, deviation }]) => [
        name,
        `${connections}, at most ${max.toFixed(2)}, deviation ${deviation.toFixed(3)}`,
      ]),
    ),
  );

  test('without a subset each client connects to each server', () => {
    expect(none.connections).toBe(CLIENTS * SERVERS);
    expect(none.max).toBeLessThan(1.01);
  });

  test('random subsetting opens exactly what was asked for, and loads servers as chance has it', () => {
    expect(random.connections).toBe(CLIENTS * SIZE);
    // How many of 100 clients hit a server is binomial with p = 1/15: deviation √(14/15 ÷ 100 × 15) = 0.37 of the mean.
    expect(random.deviation).toBeGreaterThan(0.3);
    expect(random.deviation).toBeLessThan(0.45);
  });

  test('a deterministic aperture opens about as many, and loads all servers alike', () => {
    // Where an arc begins or ends within a server, that one is shared: one more for each client at most.
    expect(deterministic.connections).toBeLessThanOrEqual(CLIENTS * (SIZE + 1));
    expect(deterministic.max).toBeLessThan(1.01);
    expect(deterministic.deviation).toBeLessThan(0.01);
  });
});
