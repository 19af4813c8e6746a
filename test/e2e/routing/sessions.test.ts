import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any } from '../../support/xds-resources.js';
import { Opened, WAIT } from '../robustness/support.js';
import { DOORS, isGrpc, openDoor, type Told } from './support/doors.js';
import { Scene, shops } from './support/plane.js';

/* Sessions by cookie and by header, as a control plane asks for them. */

const opened = new Opened();
afterEach(() => opened.close());

const SESSION = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession';
const STATE = 'envoy.extensions.http.stateful_session';
const stateBy = (by: 'cookie' | 'header'): Resource => ({
  session_state: {
    name: by,
    typed_config:
      by === 'cookie'
        ? any(`${STATE}.cookie.v3.CookieBasedSessionState`, {
            cookie: { name: 'home', path: '/', ttl: { seconds: 60 } },
          })
        : any(`${STATE}.header.v3.HeaderBasedSessionState`, { name: 'x-home' }),
  },
});
const filterBy = (by: 'cookie' | 'header', more: Resource = {}): Resource => ({
  name: 'session',
  typed_config: any(SESSION, { ...stateBy(by), ...more }),
});
/** What a client brings back of what it was told. */
const brought = (by: 'cookie' | 'header', { headers }: Told): Record<string, string> =>
  by === 'cookie'
    ? { cookie: headers['set-cookie']?.[0]?.split(';')[0] ?? '' }
    : { 'x-home': headers['x-home']?.[0] ?? '' };

describe.each(DOORS)('%s', (doorName) => {
  const scene = async (filter: Resource, route: Resource = {}) => {
    const { a, b, c } = await shops(opened, 'a', 'b', 'c');
    const made = await Scene.open(
      opened,
      { v1: [a, b], v2: [c] },
      {
        filters: [filter],
        routes: [
          {
            match: { prefix: '/' },
            route: {
              weighted_clusters: {
                clusters: ['v1', 'v2'].map((name) => ({ name, weight: { value: 1 } })),
              },
            },
            ...route,
          },
        ],
        cluster: { lb_policy: 'ROUND_ROBIN' },
      },
    );
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    return { scene: made, door, a, b, c };
  };

  test.each(['cookie', 'header'] as const)(
    'a caller stays with cluster and endpoint by its %s, others go anywhere',
    async (by) => {
      const { door } = await scene(filterBy(by));
      const first = await door.ask();
      const session = brought(by, first);
      for (let i = 0; i < 12; i++) expect(await door.ask({ headers: session })).toMatchObject({ text: first.text });
      const others = await Promise.all(Array.from({ length: 40 }, () => door.ask()));
      // All alike by chance: fewer than one in 10^12 runs.
      expect(new Set(others.map(({ text }) => text)).size).toBeGreaterThan(1);
    },
  );

  test.each([false, true])(
    'a session whose endpoint is gone moves, or fails when it is strict (%s)',
    async (strict) => {
      const { scene: made, door, a, b, c } = await scene(filterBy('cookie', { strict }));
      const first = await door.ask();
      const session = brought('cookie', first);
      const left = [a, b].filter(({ name }) => name !== first.text);
      // Of `v2` there is one only: another takes its place.
      made.restock({ v1: left, v2: first.text === 'c' ? [a] : [c] });
      const gone = async () =>
        (await made.mesh.configDump()).clusters.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
      const port = [a, b, c].find(({ name }) => name === first.text)?.port;
      await vi.waitFor(async () => expect(await gone()).not.toContain(`127.0.0.1:${port}`), WAIT);
      if (!strict) {
        const moved = await door.ask({ headers: session });
        expect(moved.text).not.toBe(first.text);
        expect(await door.ask({ headers: brought('cookie', moved) })).toMatchObject({ text: moved.text });
        return;
      }
      if (doorName === 'fetch')
        await expect(door.ask({ headers: session })).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
      else expect((await door.ask({ headers: session })).status).toBe(isGrpc(doorName) ? 'UNAVAILABLE' : 503);
      expect((await door.ask()).text).not.toBe('');
    },
  );

  test('a route may have a session of its own, or none', async () => {
    const override = (fields: Resource): Resource => ({
      typed_per_filter_config: {
        session: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute', fields),
      },
    });
    const own = await scene(filterBy('cookie'), override({ stateful_session: stateBy('header') }));
    const told = await own.door.ask();
    expect(told.headers).toHaveProperty('x-home');
    expect(told.headers).not.toHaveProperty('set-cookie');
    const none = await scene(filterBy('cookie'), override({ disabled: true }));
    expect((await none.door.ask()).headers).not.toHaveProperty('set-cookie');
  });

  test('one of several clusters may have none', async () => {
    const typed_per_filter_config = {
      session: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute', { disabled: true }),
    };
    const clusters = [
      { name: 'v1', weight: { value: 1 } },
      { name: 'v2', weight: { value: 1 }, typed_per_filter_config },
    ];
    const { door } = await scene(filterBy('cookie'), { route: { weighted_clusters: { clusters } } });
    const told = await Promise.all(Array.from({ length: 40 }, () => door.ask()));
    for (const { text, headers } of told) expect('set-cookie' in headers, text).toBe(text !== 'c');
    expect(new Set(told.map(({ text }) => text === 'c'))).toEqual(new Set([true, false]));
  });
});
