import { afterEach, beforeEach, expect, test } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import type { MeshRequestInit } from '../../../src/client/fetch/request.js';
import { silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE, TYPE_PREFIX } from '../../../src/core/resources.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import {
  ads,
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { Opened } from '../robustness/support.js';
import type { Backend } from '../support/backend.js';
import type { FaceName } from '../support/echo.js';
import { openFace } from '../support/faces.js';

/*
 * Two control planes know a host of the same name (gRFC A47): that of the top level, and that of the authority `east`. An application says
 * which one it means by its target.
 */

const typeName = (type: ResourceType): string => type.slice(TYPE_PREFIX.length);
/** A resource's name as the authority `east` has it; or, without one, an old-style name. */
const named = (authority: string | undefined, type: ResourceType, id: string): string =>
  authority === undefined ? id : `xdstp://${authority}/${typeName(type)}/${id}`;

const opened = new Opened();
let own: Backend;
let east: Backend;
let mesh: Mesh;
beforeEach(async () => {
  [own, east] = [await opened.backend('own'), await opened.backend('east')];
  const bootstrap = {
    xds_servers: [await plane(own)],
    authorities: { east: { xds_servers: [await plane(east, 'east')] } },
    node: { id: 'federation' },
  };
  mesh = opened.add(
    meshClient({ service: 'e2e', xds: bootstrap, logger: silentLogger, unknownHosts: 'deny' }),
    (each) => each.close(),
  );
});
afterEach(() => opened.close());

/** A control plane that knows `reviews` (HTTP) and `ratings` (gRPC); returns its entry in the bootstrap. */
async function plane(backend: Backend, authority?: string): Promise<object> {
  const ports = { reviews: backend.httpPort, ratings: backend.grpcPort };
  const hosts = Object.keys(ports);
  const name = (type: ResourceType, host: string): string => named(authority, type, host);
  const resources = resourceSet({
    lds: hosts.map((host) => listenerResource(name(LISTENER, host), name(ROUTE, host))),
    rds: hosts.map((host) => routeResource(name(ROUTE, host), [toCluster(name(CLUSTER, host))])),
    cds: hosts.map((host) =>
      clusterResource(name(CLUSTER, host), {
        eds_cluster_config: { eds_config: ads, service_name: name(ENDPOINT, host) },
      }),
    ),
    eds: Object.entries(ports).map(([host, port]) => endpointResource(name(ENDPOINT, host), port)),
  });
  const running = await startControlPlane({ resources, listen: '127.0.0.1:0' });
  opened.add(running, (each) => each.close());
  return { server_uri: `127.0.0.1:${running.port}`, channel_creds: [{ type: 'insecure' }] };
}

const answer = async (face: FaceName, target: string): Promise<string> => {
  const opening = await openFace(face, mesh, target);
  return opened.add(opening, (each) => each.close()).send();
};

test.each([
  ['ratings', 'own'],
  ['xds:ratings', 'own'],
  ['xds:///ratings', 'own'],
  ['xds://east/ratings', 'east'],
])('a gRPC channel to %s is answered by %s', async (target, id) => {
  expect(await answer('gRPC', target)).toBe(id);
  const backend = id === 'own' ? own : east;
  expect(backend.seen).toHaveLength(1);
});

test('both are called side by side, over fetch as well, and each has its own routes and clusters', async () => {
  const get = async (init?: MeshRequestInit): Promise<string> =>
    ((await (await mesh.fetch('http://reviews/get', init)).json()) as { id: string }).id;
  expect(await get()).toBe('own');
  expect(await get({ mesh: { xdsAuthority: 'east' } })).toBe('east');
  expect(await answer('gRPC', 'ratings')).toBe('own');
  expect(await answer('gRPC', 'xds://east/ratings')).toBe('east');
  expect(await get()).toBe('own');
  expect(east.seen.map(({ headers }) => headers['host'] ?? headers['user-agent'] !== undefined)).toEqual([
    'reviews',
    true,
  ]);
  const { targets } = await mesh.configDump();
  expect(targets.map(({ authority }) => authority)).toEqual([
    'reviews',
    'xds://east/reviews',
    'ratings',
    'xds://east/ratings',
  ]);
});

// "it is an error if the specified authority is not present in this map" - A47
test('an authority that the bootstrap does not name is an error that says so', async () => {
  await expect(answer('gRPC', 'xds://west/ratings')).rejects.toThrow('UNAVAILABLE');
  const call = mesh.fetch('http://reviews/get', { mesh: { xdsAuthority: 'west' } });
  await expect(call).rejects.toMatchObject({ cause: { message: expect.stringContaining('no authority "west"') } });
});
