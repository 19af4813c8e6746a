import { createServer as createHttp2, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Clock, systemClock } from '../../../src/core/clock.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { tcpServer } from '../../support/http1-fixture.js';
import {
  clusterResource,
  endpointResource,
  lbEndpoint,
  listenerResource,
  locality,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import type { Backend } from '../support/backend.js';
import { openFace } from '../support/faces.js';
import { packed, ScriptedPlane } from './scripted-plane.js';
import { collectingLogger, type Load, type LogLine, Opened, startLoad, WAIT } from './support.js';

const opened = new Opened();
let a: Backend;
let b: Backend;
let plane: ScriptedPlane;
let lines: LogLine[];
beforeEach(async () => {
  [a, b] = [await opened.backend('a'), await opened.backend('b')];
  plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
});
afterEach(() => opened.close());

/** Long waits of the configuration, such as the 15 s of the does-not-exist timer, pass a hundred times faster. */
const HASTY: Clock = {
  ...systemClock,
  after: (ms, task, o) => systemClock.after(ms >= 10_000 ? ms / 100 : ms, task, o),
};

function openMesh(address = plane.address, clock: Clock = systemClock): Mesh {
  const logger = collectingLogger();
  lines = logger.lines;
  return opened.add(meshClient({ service: 'e2e', xds: address, logger, clock }), (mesh) => mesh.close());
}

async function loadOn(mesh: Mesh): Promise<Load> {
  const load = startLoad(await openFace('fetch', mesh, 'reviews'));
  opened.add(load, (each) => each.stop());
  return load;
}

const moreCalls = async (load: Load, count = 50): Promise<void> => {
  const before = load.total;
  await vi.waitFor(() => expect(load.total).toBeGreaterThan(before + count), WAIT);
};

const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, i) => (i * 167 + 13) % 256));
const whole = (type: ResourceType, resource: Resource): Uint8Array => packed(type, resource).value;
const raw = (type: ResourceType, value: Uint8Array) => ({ type_url: type, value });
const regexRoute = (regex: string): Resource =>
  routeResource('routes', [toCluster('backend', { safe_regex: { regex } })]);
const tenMegabytes = (): Resource => ({
  cluster_name: 'backend',
  endpoints: [
    locality(
      Array.from({ length: 130_000 }, (_, i) =>
        lbEndpoint('127.0.0.1', 70_000, { metadata: { filter_metadata: { [`label-${i}`]: { fields: {} } } } }),
      ),
    ),
  ],
});

interface Attack {
  readonly name: string;
  /** What is done to a client that works. */
  readonly strike: () => unknown;
  /** What the NACK says; undefined when there is none to send. */
  readonly refusal?: RegExp;
  /** What is wrong cannot be told to be the one that was asked for, so that one is waited for. */
  readonly nameless?: true;
  /** The one that was asked for is in it, and good. */
  readonly harmless?: true;
  /** Without a NACK: what shows that the client has seen it. */
  readonly seen?: () => boolean;
}

const logged = (text: RegExp) => (): boolean =>
  lines.some(({ message, fields }) => text.test(`${message} ${JSON.stringify(fields)}`));

const attacks: readonly Attack[] = [
  {
    name: 'a type that nobody asked for',
    strike: () =>
      plane.push('type.googleapis.com/acme.v1.Unheard', [
        { type_url: 'type.googleapis.com/acme.v1.Unheard', value: noise(40) },
      ]),
    seen: logged(/a type that was not asked for.*acme\.v1\.Unheard/),
  },
  {
    name: 'a resource of another type than its response',
    strike: () => plane.push(CLUSTER, [raw(LISTENER, whole(LISTENER, listenerResource('backend', 'routes')))]),
    refusal: /Listener.*Cluster/,
    nameless: true,
  },
  {
    name: 'a field of the wrong wire type',
    // Field 1 (name) as a varint.
    strike: () => plane.push(CLUSTER, [raw(CLUSTER, Buffer.from([0x08, 0x01]))]),
    refusal: /resources\[0\].*name/,
    nameless: true,
  },
  {
    name: 'a wrong wire type deep inside',
    // Field 4 (connect_timeout) as a varint, after a good name.
    strike: () =>
      plane.push(CLUSTER, [
        raw(CLUSTER, Buffer.concat([whole(CLUSTER, { name: 'backend' }), Buffer.from([0x20, 0x01])])),
      ]),
    refusal: /"backend".*connect_timeout/,
  },
  {
    name: 'a resource that is cut off',
    strike: () => plane.push(CLUSTER, [raw(CLUSTER, whole(CLUSTER, clusterResource('backend')).subarray(0, -3))]),
    refusal: /malformed envoy\.config\.cluster\.v3\.Cluster: truncated/,
    nameless: true,
  },
  {
    name: 'noise in place of a resource',
    strike: () => plane.push(ROUTE, [raw(ROUTE, noise(300))]),
    refusal: /resources\[0\]/,
    nameless: true,
  },
  {
    name: 'an invalid regex',
    strike: () => plane.push(ROUTE, [packed(ROUTE, regexRoute('a(b'))]),
    refusal: /"routes": (?:is refused: )?virtual_hosts\[0\]\.routes\[0\]\.match\.safe_regex.*a\(b/,
  },
  {
    name: 'a regex that RE2 does not have',
    strike: () => plane.push(ROUTE, [packed(ROUTE, regexRoute('(?=x)(a+)+$'))]),
    refusal: /safe_regex/,
  },
  {
    name: 'the same name twice',
    strike: () =>
      plane.push(CLUSTER, [
        packed(CLUSTER, clusterResource('backend')),
        packed(CLUSTER, clusterResource('backend', { lb_policy: 'RANDOM' })),
      ]),
    refusal: /"backend": (?:is refused: )?is in the response twice/,
  },
  {
    name: 'resources without a name',
    strike: () => plane.push(CLUSTER, [packed(CLUSTER, {}), packed(CLUSTER, clusterResource('backend'))]),
    refusal: /resources\[0\]: has no name/,
    harmless: true,
  },
  {
    name: 'ten megabytes of endpoints that are wrong',
    strike: () => plane.push(ENDPOINT, [packed(ENDPOINT, tenMegabytes())]),
    refusal: /"backend": .*port_value/,
  },
  {
    name: 'a balancer that does not exist',
    strike: () => plane.push(CLUSTER, [packed(CLUSTER, clusterResource('backend', { lb_policy: 99 }))]),
    refusal: /"backend": .*lb_policy/,
  },
  {
    name: 'a message that is no DiscoveryResponse',
    strike: () => plane.pushRaw(noise(200)),
    seen: () => plane.streams >= 2,
  },
  {
    name: 'half a DiscoveryResponse',
    strike: () => plane.pushRaw(plane.response(CLUSTER).subarray(0, -5)),
    seen: () => plane.streams >= 2,
  },
  { name: 'an end of the stream with OK', strike: () => plane.endStream(), seen: () => plane.streams >= 2 },
  {
    name: 'a status with a long and strange message',
    strike: () => plane.failStream(13, `\u0000\n${'x'.repeat(4_000)}`),
    seen: () => plane.streams >= 2,
  },
  { name: 'a cut of every connection', strike: () => plane.restart(), seen: () => plane.streams >= 2 },
];

describe('what a hostile control plane does to a mesh that works', () => {
  test.each(attacks)(
    '$name: no call fails, it is refused with its place, and good configuration is followed again',
    async ({ strike, refusal, seen }) => {
      plane.serve(a.httpPort);
      const load = await loadOn(openMesh());
      await vi.waitFor(() => expect([...load.answered]).toEqual(['a']), WAIT);
      await strike();
      if (refusal !== undefined) {
        await vi.waitFor(() => expect(plane.refusals.length).toBe(1), WAIT);
        expect(plane.refusals[0]).toMatch(refusal);
        expect(logged(/resources of the control plane are refused/)()).toBe(true);
      }
      if (seen !== undefined) await vi.waitFor(() => expect(seen()).toBe(true), WAIT);
      await moreCalls(load);
      expect([...load.answered]).toEqual(['a']);
      plane.serve(b.httpPort);
      await vi.waitFor(() => expect(load.answered.has('b')).toBe(true), WAIT);
      await load.stop();
      expect(load.failures).toEqual([]);
    },
  );

  test.each(attacks.filter(({ refusal, harmless }) => refusal !== undefined && !harmless))(
    '$name, before any good configuration: calls fail with an error that says so, and work once it is mended',
    async ({ strike, refusal, nameless }) => {
      plane.serve(a.httpPort);
      const good = new Map(plane.held);
      const pushed = vi.spyOn(plane, 'push').mockImplementation((type, resources) => {
        plane.held.set(type as ResourceType, resources ?? []);
      });
      await strike();
      pushed.mockRestore();
      const mesh = openMesh();
      const call = mesh.fetch('http://reviews/get', nameless ? { mesh: { timeoutMs: 300 } } : {});
      const error = (await call.catch((reason: unknown) => reason)) as { code: string; cause: Error };
      expect(error.code).toBe(nameless ? 'DEADLINE_EXCEEDED' : 'CONFIG_UNAVAILABLE');
      if (!nameless) expect(error.cause.message).toMatch(refusal as RegExp);
      await vi.waitFor(() => expect(plane.refusals[0]).toMatch(refusal as RegExp), WAIT);
      for (const [type, resources] of good) {
        plane.held.set(type, resources);
        plane.push(type);
      }
      await vi.waitFor(async () => expect((await mesh.fetch('http://reviews/get')).status).toBe(200), WAIT);
    },
  );
});

describe('references that lead nowhere', () => {
  test('routes to a cluster that never comes: the old ones serve while it is waited for, then calls fail and name it', async () => {
    plane.serve(a.httpPort);
    const mesh = openMesh(plane.address, HASTY);
    const load = await loadOn(mesh);
    await vi.waitFor(() => expect([...load.answered]).toEqual(['a']), WAIT);
    plane.hold(ROUTE, routeResource('routes', [toCluster('ghost')]));
    plane.push(ROUTE);
    await moreCalls(load, 20);
    await vi.waitFor(() => expect(load.failures.length).toBeGreaterThan(0), WAIT);
    await load.stop();
    expect(new Set(load.failures)).toEqual(new Set(['Error: CONFIG_UNAVAILABLE']));
    const error: unknown = await mesh.fetch('http://reviews/get').catch((reason: unknown) => reason);
    expect((error as Error).cause).toMatchObject({
      message: expect.stringContaining('cluster "ghost"'),
      reached: 'no',
    });
    plane.serve(b.httpPort);
    await vi.waitFor(
      async () => expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'b' }),
      WAIT,
    );
  });

  test('endpoints that never come fail their cluster alone', async () => {
    plane.serve(a.httpPort);
    plane.hold(CLUSTER, clusterResource('backend'), clusterResource('empty'));
    plane.hold(ROUTE, routeResource('routes', [toCluster('empty', { prefix: '/empty' }), toCluster('backend')]));
    const mesh = openMesh(plane.address, HASTY);
    expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'a' });
    const error: unknown = await mesh.fetch('http://reviews/empty').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    expect((error as Error).cause).toMatchObject({ message: expect.stringContaining('ClusterLoadAssignment "empty"') });
    expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'a' });
  });

  test('routes that never come: calls wait within their deadline, and fail with the name of what is missing', async () => {
    plane.serve(a.httpPort);
    plane.held.delete(ROUTE);
    const mesh = openMesh(plane.address, HASTY);
    await expect(mesh.fetch('http://reviews/', { mesh: { timeoutMs: 20 } })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    const error: unknown = await mesh.fetch('http://reviews/get').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    expect(String((error as Error).cause)).toContain('route configuration "routes"');
  });

  test('names of prototypes are names like others', async () => {
    plane.hold(LISTENER, listenerResource('__proto__', 'constructor'), listenerResource('reviews', '__proto__'));
    plane.hold(
      ROUTE,
      routeResource('__proto__', [toCluster('__proto__')]),
      routeResource('constructor', [toCluster('__proto__')]),
    );
    plane.hold(CLUSTER, clusterResource('__proto__'));
    plane.hold(ENDPOINT, endpointResource('__proto__', a.httpPort));
    const mesh = openMesh();
    expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'a' });
    expect(await (await mesh.fetch('http://__proto__/get')).json()).toEqual({ id: 'a' });
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(mesh.stats().rows.length).toBeGreaterThan(0);
    expect(mesh.prometheus()).toContain('__proto__');
  });
});

describe('a server that is no control plane', () => {
  test('that never answers: ready() holds, a call ends with its deadline or after 15 s, and close() is prompt', async () => {
    const silent = opened.add(await tcpServer((socket) => socket.resume()), (each) => each.close());
    const mesh = openMesh(`127.0.0.1:${silent.port}`, HASTY);
    const ready = mesh.ready();
    ready.catch(() => {});
    await expect(mesh.fetch('http://reviews/', { mesh: { timeoutMs: 30 } })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    await expect(mesh.fetch('http://reviews/')).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    await mesh.close();
    await expect(ready).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    await vi.waitFor(() => expect(silent.sockets.size).toBe(0), WAIT);
  });

  test('that says GOAWAY to everybody, or speaks another protocol: calls fail and name it; nothing else happens', async () => {
    const sessions: ServerHttp2Session[] = [];
    const goaway = createHttp2();
    goaway.on('session', (session) => {
      sessions.push(session);
      session.on('error', () => {});
      session.goaway(0);
      session.close();
    });
    goaway.listen(0, '127.0.0.1');
    await once(goaway, 'listening');
    opened.add(goaway, (server) => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    const ssh = opened.add(await tcpServer((socket) => socket.end('SSH-2.0-none\r\n')), (each) => each.close());
    for (const port of [(goaway.address() as AddressInfo).port, ssh.port]) {
      const mesh = openMesh(`127.0.0.1:${port}`);
      const error: unknown = await mesh.fetch('http://reviews/').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
      expect(String((error as Error).cause)).toContain(`127.0.0.1:${port}`);
    }
  });
});
