import { describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { ForwardAction, HeaderMutation, Route, WeightedCluster } from '../../../src/core/model/route.js';
import { safeSubstitution } from '../../../src/core/regex/safe-regex.js';
import { aReply } from '../../support/calls.js';
import { aCorsPolicy, aForward, aMatch, aRoute } from '../../support/targets.js';
import { clusterAt, passUntil, routing, setCookies } from './support.js';

const setting = (name: string, value: string): HeaderMutation => ({
  remove: [],
  set: [{ name, value, action: 'overwrite' }],
});
const withOwn = (clusters: ForwardAction['clusters'], own: readonly WeightedCluster['own'][]) =>
  clusters.map((cluster, i) => ({ ...cluster, own: own[i] })) as unknown as ForwardAction['clusters'];
const byHeader = (name: string): NonNullable<ForwardAction['hashPolicies']> => [
  { kind: 'header', name, rewrite: undefined, terminal: false },
];

describe('the cluster of a call', () => {
  const chosen = async (action: ForwardAction, headers: Record<string, string>, calls = 1): Promise<string[]> => {
    const { call, sent } = await routing([aRoute({ action })]);
    for (let i = 0; i < calls; i++) await call({}, headers);
    return sent.map(({ endpoint }) => clusterAt(endpoint));
  };

  test('is chosen by weight', async () => {
    const clusters = await chosen(aForward({ a: 3, b: 0, c: 1 }), {}, 4_000);
    expect(clusters).not.toContain('b');
    // Binomial(4 000, 0.75): five standard deviations are 137.
    expect(Math.abs(clusters.filter((name) => name === 'a').length - 3_000)).toBeLessThan(137);
  });

  test('is the same for the same user where the hash chooses, in the shares of the weights', async () => {
    const action = aForward({ a: 1, b: 1 }, { weightedByHash: true, hashPolicies: byHeader('x-user') });
    expect(new Set(await chosen(action, { 'x-user': 'ann' }, 50)).size).toBe(1);
    const { call, sent } = await routing([aRoute({ action })]);
    for (let i = 0; i < 1_000; i++) await call({}, { 'x-user': `user-${i}` });
    const ofA = sent.filter(({ endpoint }) => clusterAt(endpoint) === 'a').length;
    // Binomial(1 000, 0.5): five standard deviations are 79.
    expect(Math.abs(ofA - 500)).toBeLessThan(79);
  });

  test('is left to chance for who has no hash', async () => {
    const action = aForward({ a: 1, b: 1 }, { weightedByHash: true, hashPolicies: byHeader('x-user') });
    expect(new Set(await chosen(action, {}, 50))).toEqual(new Set(['a', 'b']));
  });

  test('is chosen by the number in a header, where one is named', async () => {
    const action = aForward({ a: 1, b: 2 }, { weightedByHeader: 'x-dice' });
    expect(await chosen(action, { 'x-dice': '0' }, 5)).toEqual(['a', 'a', 'a', 'a', 'a']);
    expect(await chosen(action, { 'x-dice': '5' }, 2)).toEqual(['b', 'b']);
    expect(new Set(await chosen(action, { 'x-dice': 'six' }, 60)).size).toBe(2);
  });

  test('gets the labels that its weight asks for over those of the action', async () => {
    const action = aForward({ a: 1 }, { subset: { stage: 'prod', version: 'v1' } });
    const clusters = action.clusters.map((weighted) => ({ ...weighted, subset: { version: 'v2' } }));
    const route = aRoute({ action: { ...action, clusters: clusters as unknown as [WeightedCluster] } });
    const { call, sent } = await routing([route]);
    await call();
    expect(sent[0]?.call.subset).toEqual({ stage: 'prod', version: 'v2' });
  });
});

describe('what is sent', () => {
  const sentBy = async (
    route: Partial<Route>,
    init: Parameters<Awaited<ReturnType<typeof routing>>['call']>[0],
    headers = {},
  ) => {
    const { call, sent } = await routing([aRoute(route)]);
    await call(init, headers);
    const { call: last } = sent[0] as (typeof sent)[0];
    return { path: last.path, host: last.host, headers: { ...last.headers } };
  };

  test('has headers of the cluster first, then of the route; formats see the path as it came', async () => {
    const action = aForward({ a: 1 }, { pathRewrite: { kind: 'prefix', value: '/new' } });
    const clusters = action.clusters.map((weighted) => ({
      ...weighted,
      requestHeaders: setting('x-path', '%REQ(:path)%'),
    }));
    const route = {
      match: aMatch({ path: { kind: 'prefix', value: '/old', ignoreCase: false } }),
      action: { ...action, clusters: clusters as unknown as [WeightedCluster] },
      requestHeaders: setting('x-both', '%REQ(x-path)%!'),
    };
    const { path, headers } = await sentBy(route, { path: '/old/a' });
    expect(path).toBe('/new/a');
    expect(headers).toMatchObject({ 'x-path': '/old/a', 'x-both': '/old/a!', 'x-envoy-original-path': '/old/a' });
  });

  test.each<[string, Partial<ForwardAction>, string, string | undefined]>([
    ['a literal', { hostRewrite: { kind: 'literal', value: 'new' }, appendForwardedHost: true }, 'new', 'reviews'],
    ['a header', { hostRewrite: { kind: 'header', name: 'x-host' } }, 'from-header', undefined],
    [
      'a header that is not there',
      { hostRewrite: { kind: 'header', name: 'x-none' }, appendForwardedHost: true },
      'reviews',
      undefined,
    ],
    [
      'the path',
      {
        hostRewrite: { kind: 'path', regex: safeSubstitution('^/([a-z]+)/.*', '\\1'), substitution: '\\1.example' },
      },
      'shop.example',
      undefined,
    ],
  ])('has the host by %s', async (_, action, host, forwarded) => {
    const sent = await sentBy(
      { action: aForward({ a: 1 }, action) },
      { path: '/shop/a?q' },
      { 'x-host': 'from-header' },
    );
    expect(sent.host).toBe(host);
    expect(sent.headers['x-forwarded-host']).toBe(forwarded);
    expect(sent.headers['x-envoy-original-host']).toBe(host === 'reviews' ? undefined : 'reviews');
  });

  test('names each host once in x-forwarded-host', async () => {
    const action = aForward({ a: 1 }, { hostRewrite: { kind: 'literal', value: 'new' }, appendForwardedHost: true });
    const appended = async (before: string) =>
      (await sentBy({ action }, {}, { 'x-forwarded-host': before })).headers['x-forwarded-host'];
    expect(await appended('first')).toBe('first,reviews');
    expect(await appended('first, reviews')).toBe('first, reviews');
  });

  test('has the host of its cluster, unless the action rewrites it', async () => {
    const ofCluster = (action: ForwardAction): ForwardAction => ({
      ...action,
      clusters: action.clusters.map((weighted) => ({ ...weighted, hostRewrite: 'a.example' })) as unknown as [
        WeightedCluster,
      ],
    });
    expect((await sentBy({ action: ofCluster(aForward({ a: 1 })) }, {})).host).toBe('a.example');
    const both = aForward({ a: 1 }, { hostRewrite: { kind: 'literal', value: 'new' } });
    expect((await sentBy({ action: ofCluster(both) }, {})).host).toBe('new');
    // As from a real Envoy: the cluster's host is what the action's replaces.
    const told = await sentBy({ action: ofCluster({ ...both, appendForwardedHost: true }) }, {});
    expect(told.headers['x-forwarded-host']).toBe('a.example');
  });

  test('has the hash of what is sent', async () => {
    const action = aForward({ a: 1 }, { hashPolicies: byHeader('x-user') });
    const { call, sent } = await routing([aRoute({ action, requestHeaders: setting('x-user', 'one') })]);
    await call({}, { 'x-user': 'ann' });
    await call({}, { 'x-user': 'ben' });
    expect(sent[0]?.call.hash).toBeDefined();
    expect(sent[0]?.call.hash).toBe(sent[1]?.call.hash);
  });

  test('is nothing else than what came, where a route asks for nothing', async () => {
    expect(await sentBy({ action: aForward({ a: 1 }) }, { path: '/a?b' }, { x: '1' })).toEqual({
      path: '/a?b',
      host: 'reviews',
      headers: { x: '1' },
    });
  });
});

describe('the reply', () => {
  test('has headers of the cluster first, then of the route, filled in from what came back', async () => {
    const action = aForward({ a: 1 });
    const clusters = action.clusters.map((weighted) => ({
      ...weighted,
      responseHeaders: setting('x-host', '%UPSTREAM_HOST%'),
    }));
    const route = aRoute({
      action: { ...action, clusters: clusters as unknown as [WeightedCluster] },
      responseHeaders: setting('x-all', '%RESP(x-host)% %RESPONSE_CODE% %UPSTREAM_CLUSTER%'),
    });
    const { call } = await routing([route], () => aReply(201));
    expect((await call()).headers).toMatchObject({ 'x-host': '10.0.0.1:80', 'x-all': '10.0.0.1:80 201 a' });
  });

  test('sets the cookie that was made for the hash; who brings it is sent the same way', async () => {
    const policies = [
      { kind: 'cookie', name: 'who', path: '/', ttlMs: 60_000, attributes: [], terminal: false },
    ] as const;
    const action = aForward({ a: 1, b: 1, c: 1 }, { weightedByHash: true, hashPolicies: policies });
    const { call, sent } = await routing([aRoute({ action })]);
    const [made] = setCookies((await call()).headers);
    expect(made).toMatch(/^who="[0-9a-f]{16}"; Max-Age=60; Path=\/; HttpOnly$/);
    for (let i = 0; i < 20; i++) {
      const again = await call({}, { cookie: made?.split(';')[0] as string });
      expect(setCookies(again.headers)).toEqual([]);
    }
    expect(new Set(sent.map(({ endpoint }) => endpoint)).size).toBe(1);
  });

  test('says how many attempts it took, where that is asked for, and each attempt its number', async () => {
    let failures = 1;
    const route = aRoute({ attemptCount: { request: true, response: true } });
    const { call, sent, clock } = await routing([{ ...route, action: aForward({ a: 1 }) }], () =>
      failures-- > 0 ? aReply(503) : aReply(200),
    );
    const replying = call();
    await passUntil(clock, () => sent.length === 2);
    expect((await replying).headers['x-envoy-attempt-count']).toBe('2');
    expect(sent.map((attempt) => attempt.call.headers['x-envoy-attempt-count'])).toEqual(['1', '2']);
  });

  test('tells a browser what it may do; its preflight goes nowhere', async () => {
    const cors = aCorsPolicy({
      allowOrigin: [{ kind: 'exact', value: 'https://shop.example', ignoreCase: false }],
      allowMethods: 'PUT',
    });
    const { call, sent } = await routing([aRoute({ action: aForward({ a: 1 }), cors })]);
    const origin = 'https://shop.example';
    const preflight = await call({ method: 'OPTIONS' }, { origin, 'access-control-request-method': 'PUT' });
    expect(preflight.status).toBe(200);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'PUT',
    });
    expect(sent).toEqual([]);
    expect((await call({}, { origin })).headers['access-control-allow-origin']).toBe(origin);
    expect((await call()).headers).toEqual(headerFields());
  });
});

describe('CORS of a cluster', () => {
  test('is for the browsers whose calls go there, those of the route for the others', async () => {
    const { clusters, ...action } = aForward({ a: 1, b: 1 });
    const policy = (allowMethods: string) =>
      aCorsPolicy({ allowOrigin: [{ kind: 'suffix', value: '.example', ignoreCase: false }], allowMethods });
    const own = [{ cors: policy('PUT'), session: undefined }, undefined];
    const split = { ...action, clusters: withOwn(clusters, own) };
    const { call, sent } = await routing([aRoute({ cors: policy('GET'), action: split })]);
    const asked = new Set<unknown>();
    for (let i = 0; i < 30; i++) {
      const headers = { origin: 'https://a.example', 'access-control-request-method': 'PUT' };
      asked.add((await call({ method: 'OPTIONS' }, headers)).headers['access-control-allow-methods']);
    }
    expect(asked).toEqual(new Set(['PUT', 'GET']));
    expect(sent).toEqual([]);
  });
});

describe('a session', () => {
  const session = { kind: 'cookie', name: 'home', path: '/', ttlMs: 0 } as const;
  const brought = (headers: Parameters<typeof setCookies>[0]) => ({
    cookie: setCookies(headers)[0]?.split(';')[0] as string,
  });

  test('is at the endpoint, and in the cluster, that served it first', async () => {
    const { call, sent } = await routing([aRoute({ session, action: aForward({ a: 1, b: 1, c: 1 }) })]);
    const first = await call();
    for (let i = 0; i < 30; i++) expect(setCookies((await call({}, brought(first.headers))).headers)).toEqual([]);
    expect(new Set(sent.map(({ endpoint }) => endpoint)).size).toBe(1);
    expect(sent.at(-1)?.call.affinity).toBe(sent[0]?.endpoint);
  });

  test('moves when its endpoint is gone, and the caller is told', async () => {
    const { call } = await routing([aRoute({ session, action: aForward({ a: 1 }) })]);
    const gone = { cookie: `home="${Buffer.from('10.9.9.9:80;cluster:a').toString('base64')}"` };
    const [moved] = setCookies((await call({}, gone)).headers);
    expect(Buffer.from(moved?.slice(6) ?? '', 'base64').toString()).toContain('10.0.0.1:80');
  });

  test('of a cluster that the route does not name is void', async () => {
    const { call, sent } = await routing([aRoute({ session, action: aForward({ a: 1, b: 1 }) })]);
    const foreign = { cookie: `home="${Buffer.from('10.0.0.3:80;cluster:c').toString('base64')}"` };
    expect(setCookies((await call({}, foreign)).headers)).toHaveLength(1);
    expect(sent[0]?.call.affinity).toBeUndefined();
    expect(clusterAt(sent[0]?.endpoint)).not.toBe('c');
  });

  test('may be another, or none, in each cluster of the route', async () => {
    const of = (name: string) => ({ session: { ...session, name }, cors: undefined });
    const { clusters, ...action } = aForward({ a: 1, b: 1, c: 1 });
    const own = [of('in-a'), { session: undefined, cors: undefined }, undefined];
    const split = { ...action, clusters: withOwn(clusters, own) };
    const { call, sent } = await routing([aRoute({ session, action: split })]);
    const names = new Map<string, string | undefined>();
    for (let i = 0; i < 40; i++) {
      const [cookie] = setCookies((await call()).headers);
      names.set(clusterAt(sent.at(-1)?.endpoint), cookie?.split('=')[0]);
    }
    expect(Object.fromEntries(names)).toEqual({ a: 'in-a', b: undefined, c: 'home' });
    const at = (name: string, home: string) => ({ cookie: `${name}="${Buffer.from(home).toString('base64')}"` });
    const homes = async (headers: { cookie: string }) => {
      sent.length = 0;
      for (let i = 0; i < 20; i++) await call({}, headers);
      return new Set(sent.map(({ endpoint }) => clusterAt(endpoint)));
    };
    expect(await homes(at('in-a', '10.0.0.1:80;cluster:a'))).toEqual(new Set(['a']));
    expect(await homes(at('home', '10.0.0.3:80;cluster:c'))).toEqual(new Set(['c']));
    // What is said of a session that the cluster does not keep counts for nothing.
    expect((await homes(at('home', '10.0.0.1:80;cluster:a'))).size).toBeGreaterThan(1);
  });

  test('by a cookie for another path is nobody’s', async () => {
    const { call } = await routing([aRoute({ session: { ...session, path: '/shop' }, action: aForward({ a: 1 }) })]);
    expect(setCookies((await call({ path: '/other' })).headers)).toEqual([]);
    expect(setCookies((await call({ path: '/shop/x' })).headers)).toHaveLength(1);
  });
});

describe('a route that asks who calls', () => {
  const asks = (value: string): Route =>
    aRoute({
      name: value,
      match: aMatch({
        source: {
          labels: [{ name: 'app', match: { kind: 'exact', value, ignoreCase: false }, invert: false }],
          principals: [],
        },
      }),
      action: aForward({ [value === 'web' ? 'a' : 'b']: 1 }),
    });

  test('serves a client with such labels, and no other', async () => {
    const source = { labels: { app: 'web' }, principal: undefined };
    const { call, sent } = await routing([asks('batch'), asks('web')], undefined, { source });
    await call();
    expect(clusterAt(sent[0]?.endpoint)).toBe('a');
    const nobody = await routing([asks('web')]);
    await expect(nobody.call()).rejects.toMatchObject({ code: 'NO_ROUTE' });
  });
});

describe('the priority of a call', () => {
  test('is that of its route, where the route says one', async () => {
    const { call, sent } = await routing([aRoute({ action: aForward({ a: 1 }, { priority: 'high' }) })]);
    await call();
    await call({ priority: 'batch' });
    expect(sent.map(({ call: { priority } }) => priority)).toEqual(['high', 'high']);
  });

  test('is its own where the route says none', async () => {
    const { call, sent } = await routing([aRoute({ action: aForward({ a: 1 }) })]);
    await call();
    await call({ priority: 'batch' });
    expect(sent.map(({ call: { priority } }) => priority)).toEqual([undefined, 'batch']);
  });
});
