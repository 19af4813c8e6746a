import { afterEach, expect, test, vi } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { openFace } from '../support/faces.js';
import { ScriptedPlane } from '../robustness/scripted-plane.js';
import { collectingLogger, Opened, startLoad, WAIT } from '../robustness/support.js';

/* What comes and goes for weeks, in seconds: nothing may grow with it. */

const opened = new Opened();
afterEach(() => opened.close());

const resources = (): number => process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate').length;
/** Series of one metric: 2,000 over all, and one that counts the rest together (docs/telemetry.md). */
const MAX_SERIES = 2_001;

/** The most label sets that any metric has. */
function mostSeries(mesh: Mesh): number {
  const counts = new Map<string, number>();
  for (const line of mesh.prometheus().split('\n')) {
    const name = line.includes('le="') ? undefined : /^[a-z_]+(?=\{)/.exec(line)?.[0];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Math.max(...counts.values());
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('2,000 changes of configuration under load: no failed call, and no more clusters, handles or metrics than before', async () => {
  const backends = [await opened.backend('a'), await opened.backend('b'), await opened.backend('c')];
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  /** A cluster under a name that was never there before, on one or two of the backends. */
  const serve = (i: number): void => {
    const name = `backend-${i}`;
    const ports = backends.filter((_, n) => n !== i % 3).map(({ httpPort }) => httpPort);
    plane.hold(LISTENER, listenerResource('reviews', 'routes'));
    plane.hold(
      ROUTE,
      routeResource('routes', [toCluster(name, { prefix: '/' }, { timeout: { seconds: 10 + (i % 5) } })]),
    );
    plane.hold(CLUSTER, clusterResource(name));
    plane.hold(ENDPOINT, endpointResource(name, ...ports));
    plane.push(ROUTE);
  };
  serve(0);
  const mesh = opened.add(meshClient({ xds: plane.address, logger: collectingLogger(), accessLog: () => {} }), (each) =>
    each.close(),
  );
  const load = startLoad(await openFace('fetch', mesh, 'reviews'), 1);
  const inUse = async (): Promise<string[]> => (await mesh.configDump()).clusters.map(({ name }) => name);
  const change = async (i: number): Promise<void> => {
    serve(i);
    // One change after the other: each is taken before the next is made.
    while (!(await inUse()).includes(`backend-${i}`)) await settle();
  };
  for (let i = 1; i <= 200; i++) await change(i);
  const handles = resources();
  for (let i = 201; i <= 2_000; i++) await change(i);
  await load.stop();
  expect(load.failures).toEqual([]);
  await vi.waitFor(async () => expect(await inUse()).toEqual(['backend-2000']), WAIT);
  // Two endpoints, each with the connections of the one worker on either side, and those that are about to close.
  await vi.waitFor(() => expect(resources()).toBeLessThanOrEqual(handles + 4), WAIT);
  expect(mostSeries(mesh)).toBeLessThanOrEqual(MAX_SERIES);
  expect((await mesh.configDump()).targets).toHaveLength(1);
}, 180_000);

test.each(['embedded', 'over ADS'])(
  '%s: 2,500 hosts that nobody knows leave at most 1,000 destinations, and every call is served',
  async (carrier) => {
    const backend = await opened.backend('a');
    const { path } = await opened.file(serviceYaml('reviews'));
    const options = { logger: collectingLogger(), resolve: async () => ['127.0.0.1'] };
    const open = async () => {
      if (carrier === 'embedded') return meshClient({ ...options, config: path });
      const plane = await startControlPlane({ config: path, listen: '127.0.0.1:0' });
      opened.add(plane, (each) => each.close());
      return meshClient({ ...options, xds: `127.0.0.1:${plane.port}` });
    };
    const mesh = opened.add(await open(), (each) => each.close());
    await mesh.ready();
    let served = 0;
    for (let i = 0; i < 2_500; i += 50) {
      const calls = Array.from({ length: 50 }, async (_, n) => {
        const response = await mesh.fetch(`http://h${i + n}.test:${backend.httpPort}/get`);
        await response.text();
        served++;
      });
      await Promise.all(calls);
    }
    expect(served).toBe(2_500);
    const { targets, clusters } = await mesh.configDump();
    expect(targets.length).toBeLessThanOrEqual(1_000);
    expect(clusters.length).toBeLessThanOrEqual(1_000);
    const open_ = clusters.reduce((sum, { connections }) => sum + connections, 0);
    expect(open_).toBeLessThanOrEqual(1_000);
    expect(mostSeries(mesh)).toBeLessThanOrEqual(MAX_SERIES);
  },
  60_000,
);

test('1,000 meshes made and closed leave no handle', async () => {
  const backend = await opened.backend('a');
  const before = resources();
  for (let i = 0; i < 1_000; i++) {
    const mesh = meshClient({ services: { reviews: [`127.0.0.1:${backend.httpPort}`] }, logger: collectingLogger() });
    if (i % 10 === 0) await (await mesh.fetch('http://reviews/get')).text();
    await mesh.close();
  }
  await vi.waitFor(() => expect(resources()).toBeLessThanOrEqual(before), WAIT);
}, 60_000);
