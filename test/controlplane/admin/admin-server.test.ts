import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isTrustedHost } from '../../../src/controlplane/admin/host-check.js';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import type { ResourceSet } from '../../../src/core/resources.js';
import { CLUSTER, ENDPOINT, LISTENER } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { ScriptedAdsClient } from '../../support/ads-client.js';
import { edsCluster, meshOf, resourceSet, routes } from '../../support/mesh-resources.js';

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(resources: ResourceSet) {
  const plane = await startControlPlane({
    resources,
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    debounce: { quietMs: 0 },
  });
  cleanups.push(() => plane.close());
  return {
    plane,
    get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${plane.adminPort}${path}`, init),
  };
}

/** One raw HTTP/1.1 request; resolves with everything that came back. */
function raw(plane: ControlPlane, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(plane.adminPort ?? 0, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('pages', () => {
  it('the index names them all, and each of them is JSON that nobody caches', async () => {
    const { get } = await start(meshOf({ a: ['c'] }));
    const { pages } = (await (await get('/')).json()) as { pages: Record<string, string> };
    expect(Object.keys(pages)).toEqual(['/ready', '/live', '/status', '/clients', '/config_dump']);
    for (const path of Object.keys(pages)) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get('content-type')).toBe('application/json');
      expect(response.headers.get('cache-control')).toBe('no-store');
      await response.json();
    }
  });

  it('/config_dump shows what is served, whole or by type and name, with bytes in base64', async () => {
    const bytes = { direct_response: { status: 500, body: { inline_bytes: new Uint8Array([1, 2, 3]) } } };
    const { get } = await start(
      resourceSet({
        routes: [
          {
            ...routes('r'),
            virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, ...bytes }] }],
          },
          routes('s'),
        ],
      }),
    );
    const whole = (await (await get('/config_dump')).json()) as {
      types: Record<string, { resources: { name: string }[] }>;
    };
    expect(Object.keys(whole.types)).toEqual(['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration']);
    expect(whole.types['RouteConfiguration']?.resources.map(({ name }) => name)).toEqual(['r', 's']);
    const part = await (await get('/config_dump?type=RouteConfiguration&name=r')).text();
    expect(JSON.parse(part).types.RouteConfiguration.resources).toHaveLength(1);
    expect(part).toContain('"inline_bytes":"AQID"');
    expect(JSON.parse(await (await get('/config_dump?name=nothing')).text()).types.Cluster.resources).toEqual([]);
    expect((await get('/config_dump?type=Klaster')).status).toBe(400);
  });

  it('/clients shows what each client asked for, accepted and refused', async () => {
    const { plane, get } = await start(meshOf({ a: ['c'] }));
    const client = new ScriptedAdsClient(plane.port, await loadCodec(), 'node-7');
    cleanups.push(() => client.close());
    client.subscribe(CLUSTER);
    const clusters = await client.next();
    client.ack(clusters);
    client.subscribe(LISTENER, ['a', 'b']);
    await client.next();
    client.subscribe(ENDPOINT, ['c']);
    client.nack(await client.next(), 'c: refused for the test', ['c']);
    type View = { synced: boolean; types: Record<string, { lastNack?: object; answer?: string }> };
    let view: View | undefined;
    while (view?.types['ClusterLoadAssignment']?.lastNack === undefined) {
      view = ((await (await get('/clients')).json()) as { clients: View[] }).clients[0];
    }
    expect(view).toMatchObject({
      node: 'node-7',
      cluster: 'tests',
      userAgent: 'scripted/1.0',
      synced: false,
      types: {
        Cluster: {
          wildcard: true,
          names: [],
          nonce: clusters.nonce,
          answer: 'acked',
          ackedVersion: clusters.version_info,
        },
        Listener: { wildcard: false, names: ['a', 'b'], nameCount: 2, answer: 'none' },
        ClusterLoadAssignment: { answer: 'rejected', lastNack: { code: 3, detail: 'c: refused for the test' } },
      },
    });
  });

  it('/status shows a set that was refused, and that the last good one stays', async () => {
    const { plane, get } = await start(meshOf({ a: ['c'] }));
    const before = plane.status().configuration;
    expect(() => plane.update(resourceSet({ clusters: [edsCluster('lost')] }))).toThrow('do not fit together');
    const status = await (await get('/status')).json();
    expect(status).toMatchObject({
      ready: true,
      configuration: {
        version: before?.version,
        resources: { Cluster: 1, ClusterLoadAssignment: 1, Listener: 1, RouteConfiguration: 1 },
      },
      refused: {
        problems: [
          expect.stringContaining('Cluster "lost": eds_cluster_config.service_name names ClusterLoadAssignment "lost"'),
        ],
      },
      clients: 0,
    });
    plane.update(meshOf({ a: ['d'] }));
    expect(plane.status().refused).toBeUndefined();
  });

  it('an unknown page is 404 and names those that exist', async () => {
    const { get } = await start(meshOf({}));
    const response = await get('/stats');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: 'no page /stats', pages: { '/ready': expect.any(String) } });
  });
});

describe('what is refused', () => {
  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('%s is 405', async (method) => {
    const { get } = await start(meshOf({}));
    const response = await get('/status', { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  it('a Host that is a name of somebody else (DNS rebinding) is 421', async () => {
    const { plane } = await start(meshOf({}));
    const answer = await raw(plane, 'GET /config_dump HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 421 /);
    expect(answer).not.toContain('types');
  });

  it('a target that is no path leads to the index, and bytes that are no HTTP to 400', async () => {
    const { plane } = await start(meshOf({}));
    expect(await raw(plane, 'GET http://x/y HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')).toContain(
      '"pages"',
    );
    expect(await raw(plane, 'GET //[ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 (200|404) /,
    );
    expect(await raw(plane, '\0\0\0\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('the Host check', () => {
  it.each([
    '127.0.0.1',
    '127.0.0.1:18001',
    '[::1]:18001',
    'localhost',
    'LOCALHOST:1',
    '10.1.2.3:80',
    'mesh.internal:9',
  ])('%s is let through', (host) => {
    expect(isTrustedHost(host, 'mesh.internal')).toBe(true);
  });

  it.each([
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    'a:b:c',
  ])('%s is not', (host) => {
    expect(isTrustedHost(host, '127.0.0.1')).toBe(false);
  });
});

it('closing leaves no connection open, even one that is kept alive or half a request', async () => {
  const { plane, get } = await start(meshOf({}));
  await (await get('/live')).json();
  const socket = connect(plane.adminPort ?? 0, '127.0.0.1');
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.write('GET / HT', () => resolve()));
  await plane.close();
  await gone;
});
