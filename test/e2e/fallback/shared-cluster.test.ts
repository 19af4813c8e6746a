import { afterEach, expect, test, vi } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import type { ResourceSet } from '../../../src/core/resources.js';
import type { Mesh } from '../../../src/index.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { Opened, WAIT } from '../robustness/support.js';
import type { Backend } from '../support/backend.js';
import { openFace } from '../support/faces.js';
import { openMesh } from './client.js';

const opened = new Opened();
afterEach(() => opened.close());

/** Two hosts whose routes lead to one cluster. */
const sharing = (backend: Backend): ResourceSet =>
  resourceSet({
    lds: ['web', 'late'].map((host) => listenerResource(host, `${host}-routes`)),
    rds: ['web', 'late'].map((host) => routeResource(`${host}-routes`, [toCluster('shared')])),
    cds: [clusterResource('shared')],
    eds: [endpointResource('shared', backend.httpPort)],
  });

async function plane(backend: Backend, port = 0) {
  const options = { resources: sharing(backend), listen: `127.0.0.1:${port}`, debounce: { quietMs: 1, maxMs: 10 } };
  return opened.add(await startControlPlane(options), (each) => each.close());
}

const call = async (mesh: Mesh, host: string): Promise<string> => (await openFace('fetch', mesh, host)).send();

// "We need any given gRPC channel or server listener to only use the resources from a single server." - A71
test('hosts that share a cluster share it as long as one server speaks of it, and have each their own while another stands in for one', async () => {
  const [one, two] = [await opened.backend('first'), await opened.backend('second')];
  const first = await plane(one);
  const fallback = await plane(two);
  const mesh = openMesh(opened, 'AGGREGATED_GRPC', [first, fallback]);
  const clusters = async (): Promise<number> => (await mesh.configDump()).clusters.length;
  expect(await call(mesh, 'web')).toBe('first');
  await first.close();
  expect(await call(mesh, 'late')).toBe('second');
  expect(await call(mesh, 'web')).toBe('first');
  expect(await clusters()).toBe(2);
  await plane(one, first.port);
  await vi.waitFor(async () => expect(await call(mesh, 'late')).toBe('first'), WAIT);
  expect(await call(mesh, 'web')).toBe('first');
  await vi.waitFor(async () => expect(await clusters()).toBe(1), WAIT);
});
