import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any, toCluster } from '../../support/xds-resources.js';
import { Both, type Side } from './both.js';
import type { Outcome } from './client.js';
import { envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/*
 * Callers that come back go where they were, whichever of the two has told them where that is: a cookie or a header of one of them leads to the same
 * endpoint through the other.
 */

const SESSION = 'envoy.filters.http.stateful_session';
const cookieState = (cookie: Resource): Resource => ({
  session_state: {
    name: 'envoy.http.stateful_session.cookie',
    typed_config: any('envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState', { cookie }),
  },
});
const headerState: Resource = {
  session_state: {
    name: 'envoy.http.stateful_session.header',
    typed_config: any('envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState', { name: 'x-home' }),
  },
};
const route = (stateful_session: Resource | undefined, cluster = 'spread'): Resource[] => [
  {
    ...toCluster(cluster),
    ...(stateful_session === undefined
      ? {}
      : {
          typed_per_filter_config: {
            [SESSION]: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute', {
              stateful_session,
            }),
          },
        }),
  },
];
const hashed = (cluster: string, cookie: Resource): Resource[] => [
  toCluster(cluster, undefined, { hash_policy: [{ cookie }] }),
];

const COOKIE = { name: 'home', ttl: { seconds: 120 }, path: '/' };
const TABLES = {
  cookie: route(cookieState(COOKIE)),
  'cookie-strict': route({ ...cookieState(COOKIE), strict: true }),
  'cookie-path': route(cookieState({ name: 'home', path: '/shop' })),
  header: route(headerState),
  'header-strict': route({ ...headerState, strict: true }),
  none: route(undefined),
  ring: hashed('ring', { ...COOKIE, attributes: [{ name: 'SameSite', value: 'Lax' }] }),
  maglev: hashed('maglev', { name: 'home', ttl: {} }),
};
const ENDPOINTS = 4;

describe.skipIf(envoyBinary === undefined)('beside Envoy, a caller that comes back', () => {
  let both: Both;

  beforeAll(async () => {
    both = await Both.start({
      tables: TABLES,
      backends: ENDPOINTS,
      clusters: (ports) => [
        staticCluster('spread', ports),
        staticCluster('ring', ports, { lb_policy: 'RING_HASH' }),
        staticCluster('maglev', ports, { lb_policy: 'MAGLEV' }),
      ],
      filters: [
        { name: SESSION, typed_config: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSession') },
      ],
    });
  });
  afterAll(() => both?.close());

  const portOf = ({ arrived }: Outcome): number => arrived[0]?.port as number;
  const field = ({ headers }: Outcome, name: string): string | undefined =>
    headers.find((it) => it.startsWith(`${name}: `))?.slice(name.length + 2);
  /** What a browser sends back of `set-cookie`. */
  const cookieOf = (outcome: Outcome): string => field(outcome, 'set-cookie')?.split(';')[0] as string;

  test.each(['cookie', 'cookie-strict', 'ring', 'maglev'] as const)(
    'with the cookie that either made goes home through both: %s',
    async (table) => {
      for (const from of both.sides) {
        for (let i = 0; i < 6; i++) {
          const first = await from.ask(table);
          const headers = { cookie: `a=b; ${cookieOf(first)}` };
          const again = await both.each((side) => side.ask(table, { headers }));
          expect(again.map(portOf)).toEqual([portOf(first), portOf(first)]);
          // It knows.
          expect(again.map((it) => field(it, 'set-cookie'))).toEqual([undefined, undefined]);
        }
      }
    },
  );

  test.each(Object.keys(TABLES))('that is new is told the same of how long and where it holds: %s', async (table) => {
    const outcomes = await both.each((side) => side.ask(table, { path: '/shop/1' }));
    const attributes = outcomes.map((it) => field(it, 'set-cookie')?.replace(/^home="[^"]*"/, 'home=…'));
    expect(attributes[1]).toBe(attributes[0]);
    expect(outcomes.map((it) => field(it, 'x-home') !== undefined)).toEqual(
      Array.from(outcomes, () => table.startsWith('header')),
    );
  });

  test.each(['header', 'header-strict'])(
    'with the header that either made goes home through both: %s',
    async (table) => {
      for (const from of both.sides) {
        for (let i = 0; i < 6; i++) {
          const first = await from.ask(table);
          const headers = { 'x-home': field(first, 'x-home') as string };
          const again = await both.each((side) => side.ask(table, { headers }));
          expect(again.map(portOf)).toEqual([portOf(first), portOf(first)]);
          expect(again.map((it) => field(it, 'x-home'))).toEqual([undefined, undefined]);
        }
      }
    },
  );

  test('outside the path of its cookie is at home nowhere', async () => {
    const outcomes = await both.each((side) => side.ask('cookie-path', { path: '/shopping' }));
    expect(outcomes.map((it) => field(it, 'set-cookie'))).toEqual([undefined, undefined]);
  });

  const GONE = Buffer.from('127.0.0.1:9').toString('base64');
  test.each([
    ['cookie', { cookie: `home="${GONE}"` }, 200],
    ['cookie-strict', { cookie: `home="${GONE}"` }, 503],
    ['cookie', { cookie: 'home="%%%"' }, 200],
    ['cookie-strict', { cookie: 'home="%%%"' }, 200],
    ['header', { 'x-home': GONE }, 200],
    ['header-strict', { 'x-home': GONE }, 503],
    ['none', { 'x-home': GONE, cookie: `home="${GONE}"` }, 200],
  ] as const)(
    'to an endpoint that is gone, or to none, is served as the filter says: %s with %j',
    async (table, headers, status) => {
      const outcomes = await both.each((side: Side) => side.ask(table, { headers }));
      expect(outcomes.map((it) => [it.status, it.arrived.length])).toEqual(
        Array.from(outcomes, () => [status, status === 200 ? 1 : 0]),
      );
      // Who was sent elsewhere is told so.
      const told = outcomes.map((it) => (field(it, 'set-cookie') ?? field(it, 'x-home')) !== undefined);
      expect(told[1]).toBe(told[0]);
    },
  );
});
