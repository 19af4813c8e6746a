import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { Opened, WAIT } from '../robustness/support.js';
import { DOORS, isGrpc, openDoor } from './support/doors.js';
import { labelled, Scene, shops } from './support/plane.js';

/* Where calls go: the same routes from a control plane, whatever makes the calls. */

const opened = new Opened();
afterEach(() => opened.close());

const weighted = (weights: Readonly<Record<string, number>>, action: Resource = {}, more: Resource = {}): Resource => ({
  match: { prefix: '/' },
  route: {
    weighted_clusters: {
      clusters: Object.entries(weights).map(([name, weight]) => ({ name, weight: { value: weight } })),
      ...more,
    },
    ...action,
  },
});
const to = (cluster: string, match: Resource, action: Resource = {}): Resource => ({
  match: { prefix: '/', ...match },
  route: { cluster, ...action },
});
const exact = (value: string): Resource => ({ exact: value });

describe.each(DOORS)('%s', (doorName) => {
  const scene = async (routes: readonly Resource[], options = {}, cluster: Resource = {}) => {
    const { v1, v2 } = await shops(opened, 'v1', 'v2');
    const made = await Scene.open(opened, { v1: [v1], v2: [v2] }, { routes, cluster }, options);
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    const by = async (...asks: Parameters<typeof door.ask>): Promise<string> => (await door.ask(...asks)).text;
    return { scene: made, by, v1, v2 };
  };

  test('a canary gets its share of the calls, and all of them once it is promoted', async () => {
    const { scene: made, by } = await scene([weighted({ v1: 90, v2: 10 })]);
    const answers = await Promise.all(Array.from({ length: 500 }, () => by()));
    // Binomial(500, 0.1): five standard deviations are 33.5.
    expect(Math.abs(answers.filter((name) => name === 'v2').length - 50)).toBeLessThan(34);
    made.reroute([weighted({ v1: 0, v2: 100 })]);
    await vi.waitFor(async () => {
      const now = await Promise.all(Array.from({ length: 20 }, () => by()));
      expect(new Set(now)).toEqual(new Set(['v2']));
    }, WAIT);
  });

  test('a user meets the same side of an A/B test each time, and the sides have the shares of their weights', async () => {
    const { by } = await scene([
      weighted(
        { v1: 50, v2: 50 },
        { hash_policy: [{ header: { header_name: 'x-user' } }] },
        { use_hash_policy: { value: true } },
      ),
    ]);
    const users = Array.from({ length: 200 }, (_, i) => `user-${i}`);
    const sides = await Promise.all(users.map((user) => by({ headers: { 'x-user': user } })));
    // Binomial(200, 0.5): five standard deviations are 35.4.
    expect(Math.abs(sides.filter((side) => side === 'v1').length - 100)).toBeLessThan(36);
    for (let i = 0; i < 3; i++) {
      expect(await Promise.all(users.map((user) => by({ headers: { 'x-user': user } })))).toEqual(sides);
    }
  });

  test('testers come to the new version by a header or a cookie, everybody else to the old one', async () => {
    const { by } = await scene([
      to('v2', { headers: [{ name: 'x-tester', string_match: exact('yes') }] }),
      to('v2', { headers: [{ name: 'cookie', string_match: { contains: 'beta=1' } }] }),
      to('v2', { headers: [{ name: 'x-build', range_match: { start: 100, end: 200 } }] }),
      to('v2', { headers: [{ name: 'x-team', string_match: { prefix: 'qa-' } }] }),
      to('v2', { headers: [{ name: 'x-mail', string_match: { suffix: '@SHOP.example', ignore_case: true } }] }),
      to('v2', { headers: [{ name: 'x-id', string_match: { safe_regex: { regex: '[0-9]+' } } }] }),
      to('v2', { headers: [{ name: 'x-debug', present_match: true }] }),
      to('v2', {
        headers: [{ name: 'x-region', string_match: exact('eu'), invert_match: true }],
      }),
      to('v1', {}),
    ]);
    const version = (name: string, value: string): Promise<string> => by({ headers: { [name]: value } });
    const asks: [string, string, 'v1' | 'v2'][] = [
      ['x-tester', 'yes', 'v2'],
      ['x-tester', 'no', 'v1'],
      ['cookie', 'a=b; beta=1', 'v2'],
      ['cookie', 'a=b', 'v1'],
      ['x-build', '100', 'v2'],
      ['x-build', '200', 'v1'],
      ['x-team', 'qa-7', 'v2'],
      ['x-team', 'ops', 'v1'],
      ['x-mail', 'ann@shop.EXAMPLE', 'v2'],
      ['x-mail', 'ann@other.example', 'v1'],
      ['x-id', '42', 'v2'],
      ['x-id', '42a', 'v1'],
      ['x-debug', '0', 'v2'],
      ['x-region', 'us', 'v2'],
      ['x-region', 'eu', 'v1'],
      ['x-other', 'yes', 'v1'],
    ];
    for (const [name, value, expected] of asks)
      expect([name, value, await version(name, value)]).toEqual([name, value, expected]);
  });

  test('a query parameter leads to the new version; gRPC calls have none', async () => {
    const { by } = await scene([
      to('v2', { query_parameters: [{ name: 'beta', string_match: exact('1') }] }),
      to('v2', { query_parameters: [{ name: 'debug', present_match: true }] }),
      to('v1', {}),
    ]);
    const path = '/shop.Cart/Get';
    const expected = isGrpc(doorName) ? ['v1', 'v1', 'v1', 'v1'] : ['v2', 'v1', 'v2', 'v1'];
    const paths = isGrpc(doorName)
      ? [path, path, path, path]
      : [`${path}?a&beta=1`, `${path}?beta=2`, `${path}?debug`, path];
    expect(await Promise.all(paths.map((each) => by({ path: each })))).toEqual(expected);
  });

  test('paths, and gRPC methods with them, are found whole, by prefix, by segments, by expression and whatever their case', async () => {
    const { by } = await scene([
      { match: { path: '/shop.Cart/Add' }, route: { cluster: 'v2' } },
      { match: { path_separated_prefix: '/shop.Orders' }, route: { cluster: 'v2' } },
      { match: { prefix: '/shop.Pay' }, route: { cluster: 'v2' } },
      { match: { safe_regex: { regex: '/shop\\.[^/]*/(Get|List)Stock' } }, route: { cluster: 'v2' } },
      { match: { path: '/SHOP.mail/SEND', case_sensitive: { value: false } }, route: { cluster: 'v2' } },
      to('v1', {}),
    ]);
    const asks: [string, 'v1' | 'v2'][] = [
      ['/shop.Cart/Add', 'v2'],
      ['/shop.Cart/AddAll', 'v1'],
      ['/shop.Orders/Place', 'v2'],
      ['/shop.OrdersOld/Place', 'v1'],
      ['/shop.Payments/Pay', 'v2'],
      ['/shop.Items/ListStock', 'v2'],
      ['/shop.Items/ListStocks', 'v1'],
      ['/shop.Mail/Send', 'v2'],
    ];
    for (const [path, expected] of asks) expect([path, await by({ path })]).toEqual([path, expected]);
  });

  test('gRPC calls, and methods of HTTP, have routes of their own', async () => {
    const { by } = await scene([
      to('v2', { grpc: {} }),
      to('v2', { headers: [{ name: ':method', string_match: exact('DELETE') }] }),
      to('v1', {}),
    ]);
    expect(await by()).toBe(isGrpc(doorName) ? 'v2' : 'v1');
    if (!isGrpc(doorName)) expect(await by({ method: 'DELETE' })).toBe('v2');
  });

  test('a share of the calls of a route goes elsewhere (runtime_fraction)', async () => {
    const { by } = await scene([
      to('v2', { runtime_fraction: { default_value: { numerator: 25, denominator: 'HUNDRED' } } }),
      to('v1', {}),
    ]);
    const answers = await Promise.all(Array.from({ length: 400 }, () => by()));
    // Binomial(400, 0.25): five standard deviations are 43.3.
    expect(Math.abs(answers.filter((name) => name === 'v2').length - 100)).toBeLessThan(44);
  });

  test('who calls has a route of its own: by the labels of the mesh that makes the calls', async () => {
    const stage = (value: string): Resource => ({
      filter: 'inmesh.dev/source',
      path: [{ key: 'labels' }, { key: 'stage' }],
      value: { string_match: exact(value) },
    });
    const routes = [to('v2', { dynamic_metadata: [stage('preview')] }), to('v1', {})];
    const preview = await scene(routes, { labels: { stage: 'preview' } });
    expect(await preview.by()).toBe('v2');
    const stable = await scene(routes, { labels: { stage: 'stable' } });
    expect(await stable.by()).toBe('v1');
    const nobody = await scene(routes);
    expect(await nobody.by()).toBe('v1');
  });

  test('a route has the endpoints with its labels, and none of the others', async () => {
    const { a, b, c } = await shops(opened, 'a', 'b', 'c');
    const stock = [
      { port: a.port, labels: { stage: 'prod' } },
      { port: b.port, labels: { stage: 'prod' } },
      { port: c.port, labels: { stage: 'test' } },
    ];
    const made = await Scene.open(
      opened,
      { v1: stock },
      {
        routes: [
          to(
            'v1',
            { headers: [{ name: 'x-test', present_match: true }] },
            { metadata_match: labelled({ stage: 'test' }) },
          ),
          to('v1', {}, { metadata_match: labelled({ stage: 'prod' }) }),
        ],
        cluster: { lb_policy: 'ROUND_ROBIN', lb_subset_config: { subset_selectors: [{ keys: ['stage'] }] } },
      },
    );
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    const names = async (headers: Record<string, string>) =>
      new Set((await Promise.all(Array.from({ length: 8 }, () => door.ask({ headers })))).map(({ text }) => text));
    expect(await names({})).toEqual(new Set(['a', 'b']));
    expect(await names({ 'x-test': '1' })).toEqual(new Set(['c']));
  });

  test('the virtual host is that of the longest domain: exact, then by its end, then by its beginning, then any', async () => {
    const names = [
      'www.shop.example',
      'eu.shop.example',
      'a.eu.shop.example',
      'shop.test',
      'shop.test.example',
      'other',
    ];
    const {
      exact: whole,
      end,
      longer,
      beginning,
      any,
    } = await shops(opened, 'exact', 'end', 'longer', 'beginning', 'any');
    const host = (cluster: string, ...domains: string[]): Resource => ({
      name: cluster,
      domains,
      routes: [to(cluster, {})],
    });
    const made = await Scene.open(
      opened,
      { exact: [whole], end: [end], longer: [longer], beginning: [beginning], any: [any] },
      {
        routes: [],
        names,
        config: {
          virtual_hosts: [
            host('any', '*'),
            host('beginning', 'shop.*'),
            host('end', '*.shop.example'),
            host('longer', '*.eu.shop.example'),
            host('exact', 'WWW.Shop.Example'),
          ],
        },
      },
    );
    const served: (string | undefined)[] = [];
    for (const name of names) {
      const door = opened.add(await openDoor(doorName, made.mesh, name), (each) => each.close());
      served.push((await door.ask()).text);
    }
    expect(served).toEqual(['exact', 'end', 'longer', 'beginning', 'beginning', 'any']);
  });
});
