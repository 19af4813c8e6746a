import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { Opened, WAIT } from '../robustness/support.js';
import { DOORS, isGrpc, openDoor } from './support/doors.js';
import { Scene, type Stock, shops } from './support/plane.js';
import type { Manner } from './support/shop.js';

/* Copies of calls: real servers that answer them, or do what they should not. */

const opened = new Opened();
afterEach(() => opened.close());

/** A port on which nobody listens. */
const DEAD: Stock = { port: 1 };

const mirrored = (mirrors: readonly Resource[]): Resource => ({
  match: { prefix: '/' },
  route: { cluster: 'live', request_mirror_policies: mirrors },
});

describe.each(DOORS)('%s', (doorName) => {
  const scene = async (mirrors: readonly Resource[], copies?: readonly Stock[]) => {
    const { live, copy, other } = await shops(opened, 'live', 'copy', 'other');
    const made = await Scene.open(
      opened,
      { live: [live], copy: copies ?? [copy], other: [other] },
      { routes: [mirrored(mirrors)] },
    );
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    const total = (result: string): number => {
      const lines = made.mesh
        .prometheus()
        .matchAll(/^mesh_client_mirrors_total\{.*mesh_mirror_result="([^"]+)".*\} (\d+)/gm);
      return [...lines].reduce((sum, [, each, count]) => sum + (each === result ? Number(count) : 0), 0);
    };
    // No call waits for a mirror that the control plane has not told of yet.
    const known = mirrors.filter(({ cluster }) => cluster !== 'nowhere').length;
    let before = 0;
    while (before < known) {
      await door.ask();
      before = total('sent');
    }
    await vi.waitFor(() => expect(copy.seen.length + other.seen.length).toBe(copies === undefined ? before : 0), WAIT);
    for (const shop of [live, copy, other]) shop.seen.length = 0;
    const dropped = new Map(['no-cluster', 'overflow', 'body-too-long'].map((result) => [result, total(result)]));
    const counted = (result: string): number => total(result) - (dropped.get(result) ?? before);
    return { mesh: made.mesh, door, live, copy, other, counted };
  };
  const whole = isGrpc(doorName) ? '\u0000\u0000\u0000\u0000\u0005hello' : 'hello';

  test('a call is copied with its body to each mirror, and the caller sees only the answer of the one', async () => {
    const { door, live, copy, other, counted } = await scene([{ cluster: 'copy' }, { cluster: 'other' }]);
    const told = await door.ask({ path: '/shop.Cart/Add', headers: { 'x-user': 'ann' }, body: 'hello' });
    expect(told).toMatchObject({ text: 'live' });
    await vi.waitFor(() => expect([copy.last?.body, other.last?.body]).toEqual([whole, whole]), WAIT);
    const expected = { path: '/shop.Cart/Add', method: 'POST', host: 'reviews-shadow', headers: { 'x-user': 'ann' } };
    expect(copy.last).toMatchObject(expected);
    expect(other.last).toMatchObject(expected);
    expect(live.seen).toHaveLength(1);
    expect(live.last).toMatchObject({ host: 'reviews', body: whole });
    expect(counted('sent')).toBe(2);
  });

  test('a share of the calls is copied', async () => {
    const { door, copy, counted } = await scene([
      { cluster: 'copy', runtime_fraction: { default_value: { numerator: 30, denominator: 'HUNDRED' } } },
    ]);
    await Promise.all(Array.from({ length: 300 }, () => door.ask()));
    await vi.waitFor(() => expect(copy.seen).toHaveLength(counted('sent')), WAIT);
    // Binomial(300, 0.3): five standard deviations are 39.7.
    expect(Math.abs(counted('sent') + counted('overflow') - 90)).toBeLessThan(40);
  });

  test.each<[string, Manner]>([
    ['hangs', 'hang'],
    ['resets each of them', 'reset'],
    ['does not read their bodies', 'deaf'],
  ])('a mirror that %s neither delays nor fails the calls', async (_what, manner) => {
    const { door, live, copy, counted } = await scene([{ cluster: 'copy' }]);
    copy.manner = manner;
    // More than the server's window: a mirror that does not read stops its copy in the middle.
    const body = 'x'.repeat(40_000);
    for (let i = 0; i < 5; i++) expect(await door.ask({ body })).toMatchObject({ text: 'live' });
    expect(live.seen).toHaveLength(5);
    expect(live.seen.every((seen) => (seen.body?.length ?? 0) >= 40_000)).toBe(true);
    await vi.waitFor(() => expect(copy.seen).toHaveLength(5), WAIT);
    expect(counted('sent')).toBe(5);
  });

  test('a mirror that cannot be reached neither delays nor fails the calls', async () => {
    const { door, live } = await scene([{ cluster: 'copy' }], [DEAD]);
    for (let i = 0; i < 5; i++) expect(await door.ask({ body: 'hello' })).toMatchObject({ text: 'live' });
    expect(live.seen).toHaveLength(5);
  });

  test('copies that hang are no more than 64 at a time, whatever the number of calls; the others are left out and counted', async () => {
    const { door, copy, live, counted } = await scene([{ cluster: 'copy' }]);
    copy.manner = 'hang';
    const told = await Promise.all(Array.from({ length: 100 }, () => door.ask()));
    expect(new Set(told.map(({ text }) => text))).toEqual(new Set(['live']));
    expect(live.seen).toHaveLength(100);
    await vi.waitFor(() => expect(copy.seen).toHaveLength(counted('sent')), WAIT);
    expect(counted('sent') + counted('overflow')).toBe(100);
    // One of before may not have given its place back yet.
    expect([63, 64]).toContain(counted('sent'));
  });

  test('a mirror that does not exist, and a body that is too long to keep, are counted, and harm nothing', async () => {
    const { door, live, counted, copy } = await scene([{ cluster: 'copy' }, { cluster: 'nowhere' }]);
    const body = 'x'.repeat(200_000);
    expect(await door.ask({ body })).toMatchObject({ text: 'live' });
    expect(live.last?.body?.length).toBeGreaterThanOrEqual(200_000);
    // In one piece its size is no matter: it is there as long as the call is. What streams through the proxy is not kept.
    if (doorName.startsWith('proxy')) expect(counted('body-too-long')).toBe(2);
    else await vi.waitFor(() => expect(copy.last?.body?.length).toBeGreaterThanOrEqual(200_000), WAIT);
    await door.ask();
    expect(counted('no-cluster')).toBeGreaterThan(0);
  });
});
