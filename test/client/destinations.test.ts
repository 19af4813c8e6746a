import { describe, expect, test, vi } from 'vitest';
import { Destinations } from '../../src/client/destinations.js';
import type { PassthroughOptions } from '../../src/client/passthrough.js';
import type { CallInit } from '../../src/core/call.js';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { headerFields } from '../../src/core/headers.js';
import type { Reply } from '../../src/core/reply.js';
import { NoRouteError } from '../../src/core/errors.js';
import { aCall, aReply, OpenReply } from '../support/calls.js';
import { memoryEnv } from '../support/client-env.js';
import { HandSource } from '../support/config.js';
import { aCluster, aForward, aMatch, aRoute, aTarget } from '../support/targets.js';

function setup(answer?: Parameters<typeof memoryEnv>[0], unknownHosts: Partial<PassthroughOptions> = {}) {
  const memory = memoryEnv(answer);
  const source = new HandSource();
  const destinations = new Destinations(source, memory.env, {
    policy: () => 'passthrough',
    resolve: async () => ['192.0.2.1'],
    ...unknownHosts,
  });
  const call = (init: Partial<CallInit> = {}): Promise<Reply> => destinations.service(aCall(init));
  return { ...memory, source, destinations, call };
}

const reviews = (...endpoints: string[]) => aTarget([aRoute()], [aCluster('reviews', endpoints)]);

describe('a destination', () => {
  test('a call made before the first configuration waits for it', async () => {
    const { call, source, sent } = setup();
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    expect((await reply).status).toBe(200);
    expect(sent[0]?.endpoint).toBe('10.0.0.1:80');
  });

  test('waiting ends with the call’s own deadline, or after 15 s', async () => {
    const { call, clock } = setup();
    const own = expect(call({ timeoutMs: 100 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', reached: 'no' });
    const none = expect(call()).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    await clock.advance(15_010);
    await own;
    await none;
  });

  test('every later call sees the new configuration, and calls under way finish on the old one', async () => {
    const first = new OpenReply();
    const { call, source, sent, closed } = setup((endpoint) => (endpoint === '10.0.0.1:80' ? first : aReply()));
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await reply;
    source.of('reviews').changed(reviews('10.0.0.2:80'));
    await call();
    expect(sent.map(({ endpoint }) => endpoint)).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
    expect(closed).toEqual([]);
    first.finish();
    expect(closed).toEqual(['10.0.0.1:80']);
  });

  test('an endpoint that stays keeps its connections and what is known of it', async () => {
    const { call, source, destinations, opened } = setup();
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await reply;
    const before = destinations.clusters.list()[0]?.endpoints[0];
    source.of('reviews').changed(reviews('10.0.0.1:80', '10.0.0.2:80'));
    expect(destinations.clusters.list()[0]?.endpoints[0]).toBe(before);
    expect(opened).toEqual(['http1 10.0.0.1:80']);
  });

  test('two destinations with the same cluster share it, and it is let go with the last', async () => {
    const { call, source, destinations, closed } = setup();
    const replies = [call(), call({ authority: 'reviews.default' })];
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    source.of('reviews.default').changed(reviews('10.0.0.1:80'));
    await Promise.all(replies);
    expect(destinations.clusters.list().length).toBe(1);
    source
      .of('reviews')
      .changed(aTarget([aRoute({ action: { kind: 'direct', status: 204, body: new Uint8Array() } })], []));
    expect(closed).toEqual([]);
    source.of('reviews.default').failed(new ConfigUnavailableError('gone'));
    expect(closed).toEqual(['10.0.0.1:80']);
  });

  test('trouble with a configuration at hand changes nothing; without one the calls fail with it', async () => {
    const { call, source } = setup();
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await reply;
    source.of('reviews').ambient(new ConfigUnavailableError('control plane is away'));
    expect((await call()).status).toBe(200);
    const other = call({ authority: 'ratings' });
    source.of('ratings').ambient(new ConfigUnavailableError('control plane is away'));
    await expect(other).rejects.toThrow('control plane is away');
  });

  test('trouble that is told with every attempt of the source is logged once an outage, and every five minutes of it', async () => {
    const { call, source, env, clock } = setup();
    const logged = vi.spyOn(env.logger, 'warn');
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await reply;
    for (let i = 0; i < 5; i++) source.of('reviews').ambient(new ConfigUnavailableError(`away, ${i}`));
    expect(logged).toHaveBeenCalledTimes(1);
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    source.of('reviews').ambient(new ConfigUnavailableError('away again'));
    expect(logged).toHaveBeenCalledTimes(2);
    await clock.advance(300_000);
    source.of('reviews').ambient(new ConfigUnavailableError('still away'));
    expect(logged).toHaveBeenCalledTimes(3);
    logged.mockRestore();
  });

  test('a call that waits for ready outlives failures and empty clusters', async () => {
    const { call, source, sent } = setup();
    const reply = call({ waitForReady: true });
    source.of('reviews').failed(new ConfigUnavailableError('nothing there'));
    source.of('reviews').changed(reviews());
    await expect(call()).rejects.toMatchObject({ code: 'NO_ENDPOINT', flag: 'UH' });
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    expect((await reply).status).toBe(200);
    expect(sent.length).toBe(1);
  });

  test('a call that waits for ready outlives the cluster that it waits for, until its deadline, but not the mesh', async () => {
    const { call, source, destinations, clock } = setup();
    const early = expect(call({ authority: 'ratings', waitForReady: true })).rejects.toMatchObject({
      code: 'MESH_CLOSED',
    });
    const stranded = expect(call({ waitForReady: true, timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    source.of('reviews').changed(reviews());
    await clock.advance(0);
    source
      .of('reviews')
      .changed(aTarget([aRoute({ action: aForward({ other: 1 }) })], [aCluster('other', ['10.0.0.9:80'])]));
    await clock.advance(6_000);
    await stranded;
    await destinations.close();
    await early;
  });

  test('a cluster in trouble fails its own calls and no others', async () => {
    const { call, source } = setup();
    const routes = [
      aRoute({
        match: aMatch({ path: { kind: 'exact', value: '/broken', ignoreCase: false } }),
        action: aForward({ broken: 1 }),
      }),
      aRoute(),
    ];
    const target = aTarget(routes, [aCluster('reviews', ['10.0.0.1:80'])]);
    const reply = call();
    source
      .of('reviews')
      .changed({ ...target, clusters: new Map([...target.clusters, ['broken', new NoRouteError('CDS says no')]]) });
    expect((await reply).status).toBe(200);
    await expect(call({ path: '/broken' })).rejects.toThrow('CDS says no');
  });

  test('after close every call fails, waiting ones too, and nothing is left behind', async () => {
    const { call, source, destinations, closed, clock, env } = setup();
    const waiting = expect(call({ authority: 'ratings' })).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    const reply = call();
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await reply;
    await destinations.close();
    env.deadlines.close();
    await waiting;
    await expect(call()).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    expect(closed).toEqual(['10.0.0.1:80']);
    expect(source.unwatched.sort()).toEqual(['ratings', 'reviews']);
    expect(clock.pending).toBe(0);
  });
});

describe('routing', () => {
  test('a 90/10 split is kept within five standard deviations', async () => {
    const { call, source, sent } = setup();
    const target = aTarget(
      [aRoute({ action: aForward({ v1: 90, v2: 10 }) })],
      [aCluster('v1', ['10.0.0.1:80']), aCluster('v2', ['10.0.0.2:80'])],
    );
    const first = call();
    source.of('reviews').changed(target);
    await first;
    for (let i = 0; i < 4_999; i++) await call();
    const second = sent.filter(({ endpoint }) => endpoint === '10.0.0.2:80').length;
    expect(Math.abs(second - 500)).toBeLessThan(5 * Math.sqrt(5_000 * 0.1 * 0.9));
  });

  test('request and response headers, path and host change as the route says', async () => {
    const { call, source, sent } = setup(() => aReply(200, { server: 'secret', etag: 'x' }));
    const route = aRoute({
      match: aMatch({ path: { kind: 'segments', value: '/api', ignoreCase: false } }),
      action: aForward(
        { reviews: 1 },
        { pathRewrite: { kind: 'prefix', value: '/v2' }, hostRewrite: { kind: 'literal', value: 'backend' } },
      ),
      requestHeaders: { remove: ['x-secret'], set: [{ name: 'x-env', value: 'canary', action: 'append' }] },
      responseHeaders: { remove: ['server'], set: [{ name: 'etag', value: 'y', action: 'overwrite' }] },
    });
    const reply = call({ path: '/api/a?b', headers: headerFields({ 'x-secret': '1', 'x-env': 'blue' }) });
    source.of('reviews').changed(aTarget([route], [aCluster('reviews', ['10.0.0.1:80'])]));
    expect((await reply).headers).toEqual(headerFields({ etag: 'y' }));
    expect(sent[0]?.call).toMatchObject({ path: '/v2/a?b', host: 'backend' });
    expect(sent[0]?.call.headers['x-env']).toEqual(['blue', 'canary']);
    expect(sent[0]?.call.headers['x-secret']).toBeUndefined();
  });

  test('a redirect points where the action says, and keeps the rest of the address', async () => {
    const { call, source } = setup();
    const route = aRoute({
      action: {
        kind: 'redirect',
        status: 302,
        scheme: 'https',
        host: undefined,
        port: undefined,
        path: { kind: 'full', value: '/new' },
        stripQuery: false,
      },
    });
    const reply = call({ path: '/old?q=1' });
    source.of('reviews').changed(aTarget([route], []));
    expect(await reply).toMatchObject({ status: 302, headers: { location: 'https://reviews/new?q=1' } });
  });

  test('what no route takes is refused with NR', async () => {
    const { call, source } = setup();
    const reply = call({ path: '/b' });
    source
      .of('reviews')
      .changed(aTarget([aRoute({ match: aMatch({ path: { kind: 'exact', value: '/a', ignoreCase: false } }) })], []));
    await expect(reply).rejects.toMatchObject({ code: 'NO_ROUTE', flag: 'NR' });
  });

  test('the server is told how long we still wait', async () => {
    const { call, source, sent } = setup();
    const http = call({ timeoutMs: 1_234 });
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await http;
    await call({ protocol: 'grpc', method: 'POST', timeoutMs: 1_500 });
    expect(sent[0]?.call.headers['x-envoy-expected-rq-timeout-ms']).toBe('1234');
    expect(sent[1]?.call.headers['grpc-timeout']).toBe('1500m');
  });

  test('draining endpoints get no new call while there are others; lower priorities only when the first is empty', async () => {
    const { call, source, sent } = setup();
    const base = aCluster('reviews', ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
    const [a, b, c] = base.endpoints as [
      (typeof base.endpoints)[0],
      (typeof base.endpoints)[0],
      (typeof base.endpoints)[0],
    ];
    const first = call();
    source
      .of('reviews')
      .changed(aTarget([aRoute()], [{ ...base, endpoints: [{ ...a, health: 'draining' }, b, { ...c, priority: 1 }] }]));
    await first;
    for (let i = 0; i < 20; i++) await call();
    expect(new Set(sent.map(({ endpoint }) => endpoint))).toEqual(new Set(['10.0.0.2:80']));
  });

  test('drop_overloads drops its share before anything is sent', async () => {
    const { call, source, sent } = setup();
    const first = call();
    first.catch(() => {});
    source
      .of('reviews')
      .changed(aTarget([aRoute()], [aCluster('reviews', ['10.0.0.1:80'], { drops: [{ category: 'lb', share: 1 }] })]));
    await expect(first).rejects.toThrow('"lb"');
    expect(sent).toEqual([]);
  });
});

describe('a host that the mesh does not know', () => {
  test('is reached by DNS at the port that goes with its scheme, with TLS for https', async () => {
    const { call, source, opened, clock } = setup();
    const plain = call({ authority: 'example.test' });
    source.of('example.test').unknown();
    await clock.advance(0);
    await plain;
    const secure = call({ authority: 'example.test', scheme: 'https' });
    source.of('example.test').unknown();
    await clock.advance(0);
    await secure;
    const port = call({ authority: '127.0.0.1:8080' });
    source.of('127.0.0.1:8080').unknown();
    await port;
    expect(opened).toEqual(['http1 192.0.2.1:80', 'http1 192.0.2.1:443 tls:example.test', 'http1 127.0.0.1:8080']);
  });

  test('is refused when the configuration says so, by name', async () => {
    const { call, source } = setup(undefined, { policy: () => 'deny' });
    const refused = call({ authority: 'example.test' });
    source.of('example.test').unknown();
    await expect(refused).rejects.toMatchObject({ code: 'UNKNOWN_HOST', authority: 'example.test' });
  });

  test('is in the mesh as soon as the configuration knows it', async () => {
    const { call, source, sent, clock } = setup();
    const outside = call();
    source.of('reviews').unknown();
    await clock.advance(0);
    await outside;
    source.of('reviews').changed(reviews('10.0.0.1:80'));
    await call();
    expect(sent.map(({ endpoint }) => endpoint)).toEqual(['192.0.2.1:80', '10.0.0.1:80']);
    expect(clock.pending).toBeLessThanOrEqual(1);
  });

  test('that cannot be resolved fails with the reason', async () => {
    const { call, source, clock } = setup(undefined, { resolve: () => Promise.reject(new Error('ENOTFOUND')) });
    const failed = expect(call({ authority: 'nowhere.test' })).rejects.toThrow('cannot be resolved: ENOTFOUND');
    source.of('nowhere.test').unknown();
    await clock.advance(0);
    await failed;
  });

  test('hosts without end do not grow the process: the one unused for longest makes room', async () => {
    const { call, source, destinations, clock } = setup();
    for (let i = 0; i < 1_050; i++) {
      const reply = call({ authority: `h${i}.test` });
      source.of(`h${i}.test`).unknown();
      await clock.advance(1);
      await reply;
    }
    expect(destinations.list().length).toBe(1_000);
    expect(source.unwatched.slice(0, 2)).toEqual(['h0.test', 'h1.test']);
  });
});
