import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../../../src/controlplane/index.js';
import { endpointsOf } from '../../../src/controlplane/snapshot/references.js';
import type { Logger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { ScriptedAdsClient } from '../../support/ads-client.js';
import { meshOf, resourceSet, routes } from '../../support/mesh-resources.js';

let folder: string;
const cleanups: (() => void | Promise<void>)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-controlplane-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

const service = (endpoint: string): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec:
  endpoints: [${endpoint}]
`;

const write = (text: string, name = 'mesh.yaml') => writeFile(join(folder, name), text);

async function start(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  const config = options.resources === undefined ? { config: folder } : {};
  const plane = await startControlPlane({ ...config, listen: '127.0.0.1:0', admin: '127.0.0.1:0', ...options });
  cleanups.push(() => plane.close());
  return plane;
}

async function connect(plane: ControlPlane): Promise<ScriptedAdsClient> {
  const client = new ScriptedAdsClient(plane.port, await loadCodec());
  cleanups.push(() => client.close());
  return client;
}

const ready = async (plane: ControlPlane): Promise<number> =>
  (await fetch(`http://127.0.0.1:${plane.adminPort}/ready`)).status;

/** Asks the plane itself until it has taken notice of an edit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('from YAML', () => {
  it('a service is served over ADS under every form of its name', async () => {
    await write(service('127.0.0.1:9001'));
    const plane = await start();
    const client = await connect(plane);
    const names = ['reviews', 'reviews:80', 'reviews.default.svc.cluster.local'];
    client.subscribe(LISTENER, names);
    expect(client.decoded(await client.next()).map((it) => it['name'])).toEqual(names);
    expect(await ready(plane)).toBe(200);
  });

  it('a restart with the same files changes nothing for clients: same versions, same bytes', async () => {
    await write(service('127.0.0.1:9001'));
    const seen = [];
    for (let run = 0; run < 2; run++) {
      const plane = await start();
      const client = await connect(plane);
      const all = [];
      for (const type of [CLUSTER, LISTENER] as const) {
        client.subscribe(type);
        const { version_info, resources } = await client.next();
        all.push({ version_info, bytes: resources?.map(({ value }) => Buffer.from(value).toString('base64')) });
      }
      seen.push({ all, version: plane.status().configuration?.version });
      client.close();
      await plane.close();
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  it('an edit reaches a connected client', async () => {
    await write(service('127.0.0.1:9001'));
    const plane = await start();
    const client = await connect(plane);
    client.subscribe(CLUSTER);
    const clusters = await client.next();
    client.ack(clusters);
    const name = endpointsOf(client.decoded(clusters)[0] ?? {}) ?? '';
    client.subscribe(ENDPOINT, [name]);
    client.ack(await client.next(), [name]);
    const pushed = client.next();
    await write(service('127.0.0.1:9002'));
    expect(JSON.stringify(client.decoded(await pushed))).toContain('"port_value":9002');
  });

  it('a broken edit keeps the last good configuration, is shown with all its problems, and is forgotten once mended', async () => {
    const logged: { level: string; message: string; problems: unknown }[] = [];
    const log = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
      logged.push({ level, message, problems: fields?.['problems'] });
    };
    const logger: Logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
    await write(service('127.0.0.1:9001'));
    const plane = await start({ logger });
    const good = plane.status().configuration;
    await write(service('127.0.0.1:9001').replace('endpoints', 'endpoint').replace('name: reviews', 'name: Reviews!'));
    await until(() => plane.status().refused !== undefined);
    const status = await (await fetch(`http://127.0.0.1:${plane.adminPort}/status`)).json();
    expect(status).toMatchObject({ ready: true, configuration: good, refused: { since: expect.any(String) } });
    const problems = plane.status().refused?.problems ?? [];
    expect(problems).toHaveLength(2);
    expect(problems.join('\n')).toMatch(/mesh\.yaml:6:3 .*spec\.endpoint: unknown field; did you mean "endpoints"\?/);
    expect(logged).toContainEqual({
      level: 'error',
      message: 'configuration refused; the last good one stays',
      problems,
    });
    const client = await connect(plane);
    client.subscribe(LISTENER, ['reviews']);
    expect((await client.next()).resources).toHaveLength(1);
    await write(service('127.0.0.1:9009'));
    await until(() => plane.status().refused === undefined);
    expect(plane.status().configuration?.version).not.toBe(good?.version);
  });

  it('with a broken configuration it starts, is not ready, says why, and becomes ready when the file is mended', async () => {
    await write('kind: Nonsense');
    const plane = await start();
    expect(await ready(plane)).toBe(503);
    expect(plane.status()).toMatchObject({ ready: false, configuration: undefined });
    expect(plane.status().refused?.problems.length).toBeGreaterThan(0);
    expect((await fetch(`http://127.0.0.1:${plane.adminPort}/live`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${plane.adminPort}/config_dump`)).status).toBe(503);
    const client = await connect(plane);
    client.subscribe(LISTENER, ['reviews']);
    const answered = client.next();
    await write(service('127.0.0.1:9001'));
    expect((await answered).resources).toHaveLength(1);
    expect(await ready(plane)).toBe(200);
  });

  it('a path that does not exist is a problem like any other', async () => {
    const plane = await start({ config: join(folder, 'nowhere.yaml') });
    expect(plane.status().ready).toBe(false);
    expect(plane.status().refused?.problems.join()).toContain('nowhere.yaml');
  });
});

describe('from a program', () => {
  it('update replaces what is served, and refuses what does not fit together', async () => {
    const plane = await start({ resources: meshOf({ a: ['c1'] }) });
    const client = await connect(plane);
    client.subscribe(ROUTE, ['a-routes']);
    client.ack(await client.next(), ['a-routes']);
    expect(() => plane.update(resourceSet({ routes: [routes('a-routes', 'gone')] }))).toThrow('names Cluster "gone"');
    const pushed = client.next();
    plane.update(meshOf({ a: ['c1', 'c2'] }));
    expect(JSON.stringify(client.decoded(await pushed))).toContain('"cluster":"c2"');
  });

  it('many updates in a row are one push', async () => {
    const plane = await start({ resources: meshOf({ a: ['c'] }, 9_000) });
    const client = await connect(plane);
    client.subscribe(ENDPOINT, ['c']);
    client.ack(await client.next(), ['c']);
    const pushed = client.next();
    for (let port = 9_001; port <= 9_050; port++) plane.update(meshOf({ a: ['c'] }, port));
    expect(JSON.stringify(client.decoded(await pushed))).toContain('"port_value":9050');
    expect(client.responses).toHaveLength(2);
  });

  it('update is refused where files decide, and after close', async () => {
    await write(service('127.0.0.1:9001'));
    const plane = await start();
    expect(() => plane.update(meshOf({}))).toThrow('read from files');
    const other = await start({ resources: meshOf({}) });
    await other.close();
    expect(() => other.update(meshOf({}))).toThrow('was closed');
  });
});

describe('starting and stopping', () => {
  it.each([
    ['no source', {}, 'there is nothing to serve: give config, resources, rateLimits or ca'],
    ['two sources', { config: 'a', resources: resourceSet({}) }, 'and not both'],
    ['an address without a host', { config: 'a', listen: '18000' }, 'options.listen: must be host:port'],
    ['an admin address without a host', { config: 'a', admin: ':1' }, 'options.admin: must be host:port'],
    [
      'an unknown option',
      { config: 'a', listn: '127.0.0.1:1' },
      'options.listn: unknown field; did you mean "listen"?',
    ],
    [
      'a set that does not fit together',
      { resources: resourceSet({ routes: [routes('r', 'gone')] }) },
      'names Cluster "gone"',
    ],
  ])('%s is refused', async (_what, options, message) => {
    await expect(startControlPlane(options as ControlPlaneOptions)).rejects.toThrow(message);
  });

  it('an admin port in use is an error, and the port for ADS is free again', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    cleanups.push(() => new Promise<void>((resolve) => taken.close(() => resolve())));
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port: ads } = free.address() as { port: number };
    await new Promise<void>((resolve) => free.close(() => resolve()));
    const options = { resources: meshOf({}), listen: `127.0.0.1:${ads}` };
    await expect(startControlPlane({ ...options, admin: `127.0.0.1:${port}` })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}`,
    );
    const plane = await start({ ...options });
    expect(plane.port).toBe(ads);
  });

  it('close leaves no socket, timer or file watch behind', async () => {
    await write(service('127.0.0.1:9001'));
    const held = () =>
      process
        .getActiveResourcesInfo()
        .filter((it) => /^(TCP|FSEvent|Timeout)/.test(it))
        .sort();
    const before = held();
    const plane = await start();
    const client = await connect(plane);
    client.subscribe(CLUSTER);
    await client.next();
    await plane.close();
    await plane.close();
    client.close();
    await until(() => held().length <= before.length);
    expect(held().filter((it) => !before.includes(it))).toEqual([]);
  });
});
