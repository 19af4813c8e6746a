import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { prioritySpread } from '../../../src/client/endpoints/spread.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { failoverClient, once } from '../../support/failover.js';
import { anEndpoint } from '../../support/endpoints.js';
import { aCluster, aTarget } from '../../support/targets.js';

const at = (priority: number, i: number): string => `10.0.${priority}.${i + 1}:80`;
/** So many endpoints of a priority, the first ones as said, the others unknown. */
const group = (priority: number, count: number, ...health: EndpointConfig['health'][]): EndpointConfig[] =>
  Array.from({ length: count }, (_, i) => anEndpoint(at(priority, i), { priority, health: health[i] ?? 'unknown' }));
const bad = (count: number): EndpointConfig['health'][] => Array.from({ length: count }, () => 'unhealthy');

let client: ReturnType<typeof failoverClient>;
const use = async (endpoints: readonly EndpointConfig[], more: Partial<ClusterConfig> = {}): Promise<void> => {
  const first = client.source.watchers.has('reviews') ? undefined : client.call().catch(() => {});
  client.source.of('reviews').changed(aTarget([once()], [{ ...aCluster('reviews', [], more), endpoints }]));
  await first;
  client.took();
};
/** Share of the calls by endpoint. */
const shares = async (calls = 400): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (let i = 0; i < calls; i++) await client.call();
  for (const key of client.took()) counts[key] = (counts[key] ?? 0) + 1 / calls;
  return counts;
};
const of = (counts: Record<string, number>, priority: number): number =>
  Object.entries(counts).reduce((sum, [key, share]) => (key.startsWith(`10.0.${priority}.`) ? sum + share : sum), 0);

beforeEach(() => {
  client = failoverClient();
});

describe('which endpoints take calls', () => {
  test('those that drain take none, though there be no others: gRPC keeps them for sessions', async () => {
    await use(group(0, 2, 'draining', 'draining'));
    await expect(client.call()).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
    await use([...group(0, 2, 'draining', 'draining'), ...group(1, 1)]);
    expect(Object.keys(await shares(10))).toEqual([at(1, 0)]);
  });

  test('those that the control plane calls unhealthy take none where nobody has asked for panic', async () => {
    await use(group(0, 2, ...bad(2)));
    await expect(client.call()).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
    await use(group(0, 3, 'unhealthy'));
    expect(Object.keys(await shares(60)).sort()).toEqual([at(0, 1), at(0, 2)]);
  });

  test('degraded ones take calls when there are no usable ones, of whatever priority', async () => {
    await use([...group(0, 2, 'degraded', 'unhealthy'), ...group(1, 1)]);
    expect(Object.keys(await shares(10))).toEqual([at(1, 0)]);
    await use([...group(0, 2, 'degraded', 'unhealthy'), ...group(1, 1, 'unhealthy')]);
    expect(Object.keys(await shares(10))).toEqual([at(0, 0)]);
  });

  test('below the panic threshold all of a priority take calls, but not while another priority is well', async () => {
    await use(group(0, 4, ...bad(3)), { panicThreshold: 0.5 });
    expect(Object.keys(await shares()).length).toBe(4);
    await use([...group(0, 4, ...bad(3)), ...group(1, 2)], { panicThreshold: 0.5 });
    expect(Object.keys(await shares()).sort()).toEqual([at(1, 0), at(1, 1)]);
    await use(group(0, 4, ...bad(2)), { panicThreshold: 0.5 });
    expect(Object.keys(await shares()).length).toBe(2);
  });

  test('with panic switched off nobody takes calls when nobody is usable', async () => {
    await use(group(0, 2, ...bad(2)), { panicThreshold: 0 });
    await expect(client.call()).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
  });

  test('what we have found out ourselves is doubted when it is true of all of them', async () => {
    await use(group(0, 3));
    const endpoints = client.destinations.clusters.list()[0]?.endpoints ?? [];
    endpoints[0]?.health.eject(0);
    expect(Object.keys(await shares(60)).length).toBe(2);
    for (const endpoint of endpoints) endpoint.health.checked(false, 0);
    expect(Object.keys(await shares(60)).length).toBe(3);
    endpoints[2]?.health.checked(true, 0);
    expect(Object.keys(await shares(60))).toEqual([at(0, 2)]);
  });

  test('a change of health is taken up by the next call, and an update keeps what was found out', async () => {
    await use(group(0, 2));
    const [first] = client.destinations.clusters.list()[0]?.endpoints ?? [];
    first?.health.eject(0);
    await use([...group(0, 2), ...group(0, 3).slice(2)]);
    expect(Object.keys(await shares(60)).sort()).toEqual([at(0, 1), at(0, 2)]);
    first?.health.uneject(0);
    expect(Object.keys(await shares(90)).length).toBe(3);
  });
});

describe('Envoy’s priorities', () => {
  const priorities = { overprovisioningFactor: 1.4 };

  // Share × 1.4, floored; what is left of 100 goes to the next, and when there is too little, all is scaled up.
  test.each([
    [
      [100, 100, 100],
      [100, 0, 0],
    ],
    [
      [72, 72, 100],
      [100, 0, 0],
    ],
    [
      [71, 71, 100],
      [99, 1, 0],
    ],
    [
      [50, 50, 100],
      [70, 30, 0],
    ],
    [
      [25, 100, 100],
      [35, 65, 0],
    ],
    [
      [25, 25, 100],
      [35, 35, 30],
    ],
    [
      [20, 20, 10],
      [40, 40, 20],
    ],
    [
      [25, 25, 20],
      [37, 35, 28],
    ],
  ])('health of %j %% makes shares of %j %%', (health, expected) => {
    const spread = prioritySpread(
      health.map((usable) => ({ usable, degraded: 0, total: 100 })),
      1.4,
      0,
    );
    expect(spread.usable).toEqual(expected);
    expect(spread.degraded).toEqual([0, 0, 0]);
  });

  test('degraded endpoints take what the usable ones of all priorities leave', () => {
    const health = (usable: number, degraded: number) => ({ usable, degraded, total: 100 });
    expect(prioritySpread([health(20, 80)], 1.4, 0)).toMatchObject({ usable: [28], degraded: [72] });
    expect(prioritySpread([health(25, 75), health(25, 0)], 1.4, 0)).toMatchObject({
      usable: [35, 35],
      degraded: [30, 0],
    });
  });

  test('in panic everywhere the calls go by the number of endpoints', () => {
    const none = (total: number) => ({ usable: 0, degraded: 0, total });
    expect(prioritySpread([none(30), none(10)], 1.4, 0.5)).toEqual({
      usable: [75, 25],
      degraded: [0, 0],
      panic: [true, true],
    });
    expect(prioritySpread([none(30), none(10)], 1.4, undefined).panic).toEqual([true, true]);
    expect(prioritySpread([none(30), none(10)], 1.4, 0)).toMatchObject({ usable: [100, 0], panic: [false, false] });
  });

  test('always give away all of the calls, none to who has nobody, and know no panic while all together suffice', () => {
    const health = fc
      .record({ usable: fc.nat(20), degraded: fc.nat(20), rest: fc.nat(20) })
      .map(({ usable, degraded, rest }) => ({ usable, degraded, total: usable + degraded + rest }));
    const threshold = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(fc.array(health, { minLength: 1, maxLength: 5 }), threshold, (priorities, panicThreshold) => {
        const spread = prioritySpread(priorities, 1.4, panicThreshold);
        const sum = [...spread.usable, ...spread.degraded].reduce((a, b) => a + b, 0);
        expect(sum).toBe(100);
        const available = priorities.reduce(
          (all, { usable, degraded, total }) => all + (total === 0 ? 0 : (140 * (usable + degraded)) / total),
          0,
        );
        if (available >= 102) expect(spread.panic).not.toContain(true);
        if (spread.panic.includes(true) || available === 0) return;
        for (const [i, { usable, degraded }] of priorities.entries()) {
          if (usable === 0) expect(spread.usable[i]).toBe(0);
          if (degraded === 0) expect(spread.degraded[i]).toBe(0);
        }
      }),
    );
  });

  test('spread the calls', async () => {
    await use([...group(0, 4, ...bad(2)), ...group(1, 4)], { priorities });
    const counts = await shares(1_000);
    // 0.7 of 1,000 calls, within five standard deviations.
    expect(Math.abs(of(counts, 0) - 0.7)).toBeLessThan(0.073);
    expect(Object.keys(counts).length).toBe(6);
  });

  test('in panic a priority takes what its degraded endpoints were to take, with all that it has', async () => {
    const first = group(0, 20, 'degraded', 'degraded', 'degraded', 'degraded', ...bad(15));
    await use([...first, ...group(1, 10, ...bad(6))], { priorities, panicThreshold: 0.3 });
    const counts = await shares(1_000);
    // Of 91 % to be had, 7 % usable and 28 % degraded are in the first priority, which panics: 9 and 30 of 100 calls. The second is well enough.
    expect(Object.keys(counts).length).toBe(24);
    expect(Math.abs(of(counts, 0) - 0.39)).toBeLessThan(0.078);
  });

  test('pass over a priority that cannot be reached, whatever its share', async () => {
    for (let i = 0; i < 4; i++) client.down.add(at(0, i));
    await use([...group(0, 4), ...group(1, 2)], { priorities });
    for (let i = 0; i < 20; i++) await client.call();
    client.took();
    expect(of(await shares(50), 1)).toBeCloseTo(1);
  });
});

describe('connections that are wanted ahead', () => {
  const connections = { warm: 2, maxLifetimeMs: 0, maxRequests: 0, keepAlive: undefined };

  test('are opened with each endpoint that comes, by the protocol of the cluster, and anew when they are configured otherwise', async () => {
    await use(group(0, 1));
    client.source
      .of('reviews')
      .changed(aTarget([once()], [{ ...aCluster('reviews', [], { connections }), endpoints: [] }]));
    client.opened.length = 0;
    await use(group(0, 2), { connections });
    expect(client.opened).toEqual([`http1 ${at(0, 0)}`, `http1 ${at(0, 1)}`]);
    await use(group(0, 2), { connections: { ...connections } });
    expect(client.opened.length).toBe(2);
    await use(group(0, 2), { connections, protocol: 'http2' });
    expect(client.opened.slice(2)).toEqual([`http2 ${at(0, 0)}`, `http2 ${at(0, 1)}`]);
    expect(client.closed.length).toBeGreaterThanOrEqual(2);
  });
});
