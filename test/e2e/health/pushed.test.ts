import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import {
  clusterResource,
  lbEndpoint,
  listenerResource,
  locality,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { DualBackend, WebBackend } from '../../support/web-backend.js';
import { ECHO } from '../support/backend.js';
import { ScriptedPlane } from '../robustness/scripted-plane.js';
import { collectingLogger, Opened, startLoad, WAIT } from '../robustness/support.js';

/* A control plane pushes how endpoints are judged, over a real socket; real servers fail, and come back. */

const opened = new Opened();
afterEach(() => opened.close());

const endpoints = (list: readonly { readonly port: number; readonly health?: string }[]): Resource => ({
  cluster_name: 'backend',
  endpoints: [
    locality(
      list.map(({ port, health }) =>
        lbEndpoint('127.0.0.1', port, health === undefined ? {} : { health_status: health }),
      ),
    ),
  ],
});

async function under(ports: readonly number[], cluster: Resource) {
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  plane.hold(LISTENER, listenerResource('reviews', 'routes'));
  plane.hold(ROUTE, routeResource('routes', [toCluster('backend')]));
  plane.hold(CLUSTER, clusterResource('backend', cluster));
  plane.hold(ENDPOINT, endpoints(ports.map((port) => ({ port }))));
  const mesh = opened.add(meshClient({ xds: plane.address, logger: collectingLogger() }), (each) => each.close());
  const push = (list: readonly { readonly port: number; readonly health?: string }[]): void => {
    plane.hold(ENDPOINT, endpoints(list));
    plane.push(ENDPOINT);
  };
  return { mesh, push };
}

const endpointOf = async (mesh: Mesh, port: number) =>
  (await mesh.configDump()).clusters[0]?.endpoints.find(({ address }) => address === `127.0.0.1:${port}`);

const get = async (mesh: Mesh): Promise<string> => (await mesh.fetch('http://reviews/get')).text();

test('an endpoint that is found bad over gRPC is left alone by fetch, too', async () => {
  const good = opened.add(await DualBackend.start('good'), (each) => each.kill());
  const bad = opened.add(await DualBackend.start('bad'), (each) => each.kill());
  bad.grpcStatus = grpc.status.UNAVAILABLE;
  const { mesh } = await under([good.port, bad.port], {
    lb_policy: 'ROUND_ROBIN',
    http2_protocol_options: {},
    outlier_detection: {
      consecutive_5xx: { value: 3 },
      enforcing_consecutive_5xx: { value: 100 },
      max_ejection_percent: { value: 50 },
      base_ejection_time: { seconds: 300 },
    },
  });
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  const client = mesh.grpc(Echo, 'reviews') as unknown as {
    get(request: object, done: (error: grpc.ServiceError | null) => void): void;
  };
  const call = () => new Promise<number>((resolve) => client.get({}, (error) => resolve(error?.code ?? 0)));
  for (let i = 0; i < 20 && !(await endpointOf(mesh, bad.port))?.health.ejected; i++) await call();
  expect((await endpointOf(mesh, bad.port))?.health).toMatchObject({ ejected: true, verdict: 'unusable' });
  for (let i = 0; i < 20; i++) expect(await get(mesh)).toBe('good');
  expect(bad.seen.http).toBe(0);
});

test('active checks take a broken server out, and back when it is well', async () => {
  const list = [
    opened.add(await WebBackend.start('a'), (each) => each.kill()),
    opened.add(await WebBackend.start('b'), (each) => each.kill()),
  ] as const;
  const [a, b] = list;
  const { mesh } = await under([a.port, b.port], {
    lb_policy: 'ROUND_ROBIN',
    health_checks: [
      {
        timeout: { seconds: 5 },
        interval: { nanos: 20_000_000 },
        no_traffic_interval: { nanos: 20_000_000 },
        unhealthy_threshold: { value: 2 },
        healthy_threshold: { value: 2 },
        http_health_check: { path: '/healthz' },
      },
    ],
  });
  const verdict = async (backend: WebBackend) => (await endpointOf(mesh, backend.port))?.health.verdict;
  await get(mesh);
  b.healthy = false;
  await vi.waitFor(async () => expect(await verdict(b)).toBe('unusable'), WAIT);
  for (let i = 0; i < 10; i++) expect(await get(mesh)).toBe('a');
  b.healthy = true;
  await vi.waitFor(async () => expect(await verdict(b)).toBe('usable'), WAIT);
  const names = new Set<string>();
  for (let i = 0; i < 10; i++) names.add(await get(mesh));
  expect(names).toEqual(new Set(['a', 'b']));
});

test('a rolling restart of all servers, each drained before it stops, fails no call', async () => {
  const start = async (name: string) => opened.add(await WebBackend.start(name), (each) => each.kill());
  let running = [await start('a0'), await start('b0'), await start('c0')];
  const { mesh, push } = await under(
    running.map(({ port }) => port),
    {},
  );
  const load = startLoad({ send: () => get(mesh) }, 4);
  await vi.waitFor(() => expect(load.total).toBeGreaterThan(20), WAIT);
  for (const [i, old] of [...running].entries()) {
    const fresh = await start(`${'abc'[i]}1`);
    push([...running.map((each) => ({ port: each.port, ...(each === old ? { health: 'DRAINING' } : {}) })), fresh]);
    await vi.waitFor(async () => expect((await endpointOf(mesh, old.port))?.health.configured).toBe('draining'), WAIT);
    await vi.waitFor(async () => expect((await endpointOf(mesh, old.port))?.inflight).toBe(0), WAIT);
    await old.stop();
    running = [...running.filter((each) => each !== old), fresh];
    push(running);
    await vi.waitFor(async () => expect(await endpointOf(mesh, old.port)).toBeUndefined(), WAIT);
  }
  const { total } = load;
  await vi.waitFor(() => expect(load.total).toBeGreaterThan(total + 20), WAIT);
  await load.stop();
  expect(load.failures).toEqual([]);
  for (const backend of running) expect(backend.seen).toBeGreaterThan(0);
});
