import { afterEach, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any } from '../../support/xds-resources.js';
import { Opened } from '../robustness/support.js';
import { DOORS, HTTP_DOORS, isGrpc, openDoor } from './support/doors.js';
import { corsFilter, type Push, Scene, shops } from './support/plane.js';

/* What routes change of requests and replies: the same routes from a control plane, whatever makes the calls. */

const opened = new Opened();
afterEach(() => opened.close());

const rewriting = (match: Resource, action: Resource): Push => ({
  routes: [{ match, route: { cluster: 'v1', ...action } }],
});
const set = (key: string, value: string, append_action = 'OVERWRITE_IF_EXISTS_OR_ADD'): Resource => ({
  header: { key, value },
  append_action,
});

describe.each(DOORS)('%s', (doorName) => {
  const scene = async (push: Push) => {
    const { v1 } = await shops(opened, 'v1');
    const made = await Scene.open(opened, { v1: [v1] }, push);
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    return { door, v1 };
  };
  const sent = async (push: Push, path: string, headers: Record<string, string> = {}) => {
    const { door, v1 } = await scene(push);
    await door.ask({ path, headers });
    return v1.last;
  };
  const query = isGrpc(doorName) ? '' : '?a=1';

  test.each<[string, Resource, Resource, string, string]>([
    ['a prefix', { prefix: '/old.' }, { prefix_rewrite: '/shop.' }, '/old.Cart/Get', '/shop.Cart/Get'],
    ['segments', { path_separated_prefix: '/v1/shop' }, { prefix_rewrite: '/' }, '/v1/shop/Get', '/Get'],
    [
      'an expression',
      { prefix: '/' },
      { regex_rewrite: { pattern: { regex: '^/([^.]+)\\.v[0-9]+\\.' }, substitution: '/\\1.' } },
      '/shop.v2.Cart/Get',
      '/shop.Cart/Get',
    ],
  ])('the path is rewritten by %s, and its query stays', async (_by, match, action, from, to) => {
    expect(await sent(rewriting(match, action), from + query)).toMatchObject({ path: to + query });
  });

  test.each<[string, Resource, string]>([
    ['by a literal', { host_rewrite_literal: 'cart.internal' }, 'cart.internal'],
    ['from a header', { host_rewrite_header: 'x-tenant-host' }, 'acme.example'],
    [
      'out of the path',
      { host_rewrite_path_regex: { pattern: { regex: '^/([a-z]+)\\..*$' }, substitution: '\\1.tenants.example' } },
      'shop.tenants.example',
    ],
  ])('the host is rewritten %s', async (_how, action, host) => {
    const push = rewriting({ prefix: '/' }, { ...action, append_x_forwarded_host: true });
    const seen = await sent(push, '/shop.Cart/Get', { 'x-tenant-host': 'acme.example' });
    expect(seen).toMatchObject({ host, headers: { 'x-forwarded-host': 'reviews' } });
    // gRPC knows no such field.
    expect(seen?.headers['x-envoy-original-host']).toBe(isGrpc(doorName) ? undefined : 'reviews');
  });

  test('the host of one weighted cluster is its own', async () => {
    const cluster = { name: 'v1', weight: { value: 1 }, host_rewrite_literal: 'canary.internal' };
    const push = { routes: [{ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [cluster] } } }] };
    expect(await sent(push, '/shop.Cart/Get')).toMatchObject({ host: 'canary.internal' });
  });

  test('headers are changed by cluster, route, virtual host and route configuration, in this order, in requests and replies', async () => {
    const level = (name: string): Resource => ({
      request_headers_to_add: [set('x-levels', name, 'APPEND_IF_EXISTS_OR_ADD'), set('x-last', name)],
      request_headers_to_remove: [`x-drop-${name}`],
      response_headers_to_add: [set('x-levels', name, 'APPEND_IF_EXISTS_OR_ADD'), set('x-last', name)],
      response_headers_to_remove: [`x-drop-${name}`],
    });
    const cluster = { name: 'v1', weight: { value: 1 }, ...level('cluster') };
    const { door, v1 } = await scene({
      routes: [{ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [cluster] } }, ...level('route') }],
      host: level('host'),
      config: level('config'),
    });
    const dropped = { 'x-drop-cluster': '1', 'x-drop-route': '1', 'x-drop-host': '1', 'x-drop-config': '1' };
    v1.headers = { ...dropped, 'x-kept': '1' };
    const { headers } = await door.ask({ headers: { ...dropped, 'x-kept': '1' } });
    const inOrder = 'cluster,route,host,config';
    expect(v1.last?.headers['x-levels']?.replaceAll(', ', ',')).toBe(inOrder);
    expect(v1.last?.headers).toMatchObject({ 'x-last': 'config', 'x-kept': '1' });
    expect(Object.keys(v1.last?.headers ?? {}).filter((name) => name.startsWith('x-drop'))).toEqual([]);
    expect(headers['x-levels']?.join(',').replaceAll(', ', ',')).toBe(inOrder);
    expect(headers).toMatchObject({ 'x-last': ['config'], 'x-kept': ['1'] });
    expect(Object.keys(headers).filter((name) => name.startsWith('x-drop'))).toEqual([]);
  });

  test('the most specific level has the last word where the configuration says so', async () => {
    const level = (name: string): Resource => ({ request_headers_to_add: [set('x-last', name)] });
    const { door, v1 } = await scene({
      routes: [{ match: { prefix: '/' }, route: { cluster: 'v1' }, ...level('route') }],
      host: level('host'),
      config: { ...level('config'), most_specific_header_mutations_wins: true },
    });
    await door.ask();
    expect(v1.last?.headers['x-last']).toBe('route');
  });

  test('headers are added, overwritten, and left alone, as each says', async () => {
    const { door, v1 } = await scene({
      routes: [
        {
          match: { prefix: '/' },
          route: { cluster: 'v1' },
          request_headers_to_add: [
            set('x-if-absent', 'new', 'ADD_IF_ABSENT'),
            set('x-there', 'new', 'ADD_IF_ABSENT'),
            set('x-only-there', 'new', 'OVERWRITE_IF_EXISTS'),
            set('x-not-there', 'new', 'OVERWRITE_IF_EXISTS'),
          ],
        },
      ],
    });
    await door.ask({ headers: { 'x-there': 'old', 'x-only-there': 'old' } });
    expect(v1.last?.headers).toMatchObject({ 'x-if-absent': 'new', 'x-there': 'old', 'x-only-there': 'new' });
    expect(v1.last?.headers).not.toHaveProperty('x-not-there');
  });

  test('formats are filled in from the call and from the reply', async () => {
    const { door, v1 } = await scene({
      routes: [
        {
          match: { prefix: '/' },
          route: { cluster: 'v1', prefix_rewrite: '/new.' },
          name: 'cart',
          request_headers_to_add: [
            set('x-asked', '%REQ(:path)% of %REQ(:authority)% for %REQ(x-user?x-nobody)% by %ROUTE_NAME%, 100%%'),
          ],
          response_headers_to_add: [
            set('x-served', '%UPSTREAM_CLUSTER% %RESPONSE_CODE% %RESP(x-version)% %UPSTREAM_HOST%'),
          ],
        },
      ],
    });
    v1.headers = { 'x-version': '7' };
    const { headers } = await door.ask({ path: '/Cart/Get', headers: { 'x-user': 'ann' } });
    expect(v1.last?.path).toBe('/new.Cart/Get');
    expect(v1.last?.headers['x-asked']).toBe('/Cart/Get of reviews for ann by cart, 100%');
    expect(headers['x-served']).toEqual([`v1 200 7 127.0.0.1:${v1.port}`]);
  });

  test('a format that is not understood is refused by name, and what was there goes on', async () => {
    const { v1 } = await shops(opened, 'v1');
    const good = { match: { prefix: '/' }, route: { cluster: 'v1' } };
    const made = await Scene.open(opened, { v1: [v1] }, { routes: [good] });
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    expect(await door.ask()).toMatchObject({ text: 'v1' });
    made.reroute([{ ...good, request_headers_to_add: [set('x', '%REQUEST(x)%')] }]);
    await expect.poll(() => made.plane.refusals.join(), { timeout: 15_000 }).toContain('%REQUEST%');
    expect(made.plane.refusals.join()).toContain('those that have a value are');
    expect(await door.ask()).toMatchObject({ text: 'v1' });
  });
});

describe.each(HTTP_DOORS)('%s', (doorName) => {
  test('a route says what pages may do over what its virtual host says, and a route may switch that off', async () => {
    const { v1 } = await shops(opened, 'v1');
    const policy = (allow_methods: string): Resource =>
      any('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
        allow_origin_string_match: [{ suffix: '.example' }],
        allow_methods,
      });
    const route = (path: string, override?: Resource): Resource => ({
      match: { path },
      route: { cluster: 'v1' },
      ...(override === undefined ? {} : { typed_per_filter_config: { cors: override } }),
    });
    const made = await Scene.open(
      opened,
      { v1: [v1] },
      {
        filters: [corsFilter],
        host: { typed_per_filter_config: { cors: policy('GET') } },
        routes: [
          route('/host'),
          route('/own', policy('PUT')),
          route('/off', any('envoy.config.route.v3.FilterConfig', { disabled: true })),
        ],
      },
    );
    const door = opened.add(await openDoor(doorName, made.mesh), (each) => each.close());
    // `fetch` lets nobody send an Origin of their own choice; inmesh's is for servers.
    const allowed = async (path: string) =>
      (
        await door.ask({
          path,
          method: 'OPTIONS',
          headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' },
        })
      ).headers['access-control-allow-methods'];
    expect([await allowed('/host'), await allowed('/own'), await allowed('/off')]).toEqual([
      ['GET'],
      ['PUT'],
      undefined,
    ]);
  });
});
