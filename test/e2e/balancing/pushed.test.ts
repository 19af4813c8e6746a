import { afterEach, describe, expect, test, vi } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { type Mesh, meshClient, type MeshOptions } from '../../../src/index.js';
import {
  any,
  clusterResource,
  lbEndpoint,
  listenerResource,
  locality,
  routeResource,
  routerFilter,
  toCluster,
} from '../../support/xds-resources.js';
import { WebBackend } from '../../support/web-backend.js';
import { ScriptedPlane } from '../robustness/scripted-plane.js';
import { collectingLogger, Opened, WAIT } from '../robustness/support.js';

/* A control plane pushes how calls are balanced, over a real socket; real servers tell who got them. */

const opened = new Opened();
afterEach(() => opened.close());

interface Place {
  readonly backend: WebBackend;
  readonly zone?: string;
  readonly fields?: Resource;
}

const endpointsOf = (places: readonly Place[]): Resource => ({
  cluster_name: 'backend',
  endpoints: [...new Set(places.map(({ zone = 'z' }) => zone))].map((zone) =>
    locality(
      places
        .filter((place) => (place.zone ?? 'z') === zone)
        .map(({ backend, fields = {} }) => lbEndpoint('127.0.0.1', backend.port, fields)),
      { locality: { region: 'r', zone } },
    ),
  ),
});

/** A mesh under a plane that pushes these. */
async function under(
  places: readonly Place[],
  resources: { readonly cluster?: Resource; readonly action?: Resource; readonly listener?: Resource },
  options: MeshOptions = {},
) {
  const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
  plane.hold(LISTENER, listenerResource('reviews', 'routes', resources.listener));
  plane.hold(ROUTE, routeResource('routes', [toCluster('backend', { prefix: '/' }, resources.action)]));
  plane.hold(CLUSTER, clusterResource('backend', resources.cluster));
  plane.hold(ENDPOINT, endpointsOf(places));
  const mesh = opened.add(meshClient({ xds: plane.address, logger: collectingLogger(), ...options }), (each) =>
    each.close(),
  );
  const move = async (next: readonly Place[]): Promise<void> => {
    plane.hold(ENDPOINT, endpointsOf(next));
    plane.push(ENDPOINT);
    const ports = next.map(({ backend }) => `127.0.0.1:${backend.port}`).sort();
    await vi.waitFor(async () => expect((await addresses(mesh)).sort()).toEqual(ports), WAIT);
  };
  return { plane, mesh, move };
}

const addresses = async (mesh: Mesh): Promise<string[]> =>
  (await mesh.configDump()).clusters.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));

async function backends(count: number): Promise<WebBackend[]> {
  const made: WebBackend[] = [];
  for (let i = 0; i < count; i++) made.push(opened.add(await WebBackend.start(`b${i}`), (each) => each.kill()));
  return made;
}

const ask = async (mesh: Mesh, headers: Record<string, string> = {}) => {
  const response = await mesh.fetch('http://reviews/get', { headers });
  return { name: await response.text(), cookie: response.headers.get('set-cookie')?.split(';')[0] };
};

/** How many of `calls` each backend gets. */
async function spread(mesh: Mesh, list: readonly WebBackend[], calls: number): Promise<number[]> {
  const before = list.map(({ seen }) => seen);
  for (let i = 0; i < calls; i++) await ask(mesh);
  return list.map(({ seen }, i) => seen - (before[i] as number));
}

describe('what a control plane pushes', () => {
  test('a ring by header: one user is one backend’s, and stays so when others come and go', async () => {
    const list = await backends(5);
    const places = list.map((backend) => ({ backend }));
    const { mesh, move } = await under(places.slice(0, 4), {
      cluster: { lb_policy: 'RING_HASH' },
      action: { hash_policy: [{ header: { header_name: 'x-user' } }] },
    });
    const users = Array.from({ length: 40 }, (_, i) => `user-${i}`);
    const homes = new Map<string, string>();
    for (const user of users) homes.set(user, (await ask(mesh, { 'x-user': user })).name);
    expect(new Set(homes.values()).size).toBeGreaterThan(1);
    for (const user of users) expect((await ask(mesh, { 'x-user': user })).name).toBe(homes.get(user));
    // A ring of other endpoints has other shares for each: a part of the users move, as with Envoy.
    const stay = async (gone: readonly string[]): Promise<number> => {
      const there = users.filter((user) => !gone.includes(homes.get(user) as string));
      let stayed = 0;
      for (const user of there) if ((await ask(mesh, { 'x-user': user })).name === homes.get(user)) stayed++;
      return stayed / there.length;
    };
    await move(places);
    expect(await stay([])).toBeGreaterThan(0.5);
    await move(places.slice(1, 4));
    expect(await stay(['b0'])).toBeGreaterThan(0.5);
  });

  test('a session by cookie: it stays with its backend while that drains, and moves when it is gone', async () => {
    const list = await backends(3);
    const session = {
      name: 'envoy.filters.http.stateful_session',
      typed_config: any('envoy.extensions.filters.http.stateful_session.v3.StatefulSession', {
        session_state: {
          name: 'envoy.http.stateful_session.cookie',
          typed_config: any('envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState', {
            cookie: { name: 'home', path: '/' },
          }),
        },
      }),
    };
    const { mesh, move } = await under(
      list.map((backend) => ({ backend })),
      {
        listener: { http_filters: [session, routerFilter] },
        cluster: {
          common_lb_config: { override_host_status: { statuses: ['UNKNOWN', 'HEALTHY', 'DRAINING'] } },
        },
      },
    );
    const first = await ask(mesh);
    const cookie = first.cookie ?? '';
    expect(cookie).toMatch(/^home=/);
    for (let i = 0; i < 10; i++) expect((await ask(mesh, { cookie })).name).toBe(first.name);
    const home = list[Number(first.name.slice(1))] as WebBackend;
    await move(list.map((backend) => ({ backend, fields: backend === home ? { health_status: 'DRAINING' } : {} })));
    await vi.waitFor(async () => {
      const { clusters } = await mesh.configDump();
      expect(clusters[0]?.endpoints.map(({ health }) => health.configured)).toContain('draining');
    }, WAIT);
    for (let i = 0; i < 10; i++) expect((await ask(mesh)).name).not.toBe(first.name);
    for (let i = 0; i < 10; i++) expect((await ask(mesh, { cookie })).name).toBe(first.name);
    await move(list.filter((backend) => backend !== home).map((backend) => ({ backend })));
    const moved = await ask(mesh, { cookie });
    expect(moved.name).not.toBe(first.name);
    expect(moved.cookie).toMatch(/^home=/);
    expect(moved.cookie).not.toBe(cookie);
  });

  test('zones: calls stay in the caller’s own, which the application says, and leave it when it has nobody', async () => {
    const list = await backends(6);
    const places = list.map((backend, i) => ({ backend, zone: i < 3 ? 'here' : 'there' }));
    const { mesh, move } = await under(
      places,
      {
        cluster: {
          common_lb_config: {
            zone_aware_lb_config: { min_cluster_size: { value: 2 } },
          },
        },
      },
      { locality: { region: 'r', zone: 'here' } },
    );
    const near = await spread(mesh, list, 60);
    expect(near.slice(3)).toEqual([0, 0, 0]);
    expect(Math.min(...near.slice(0, 3))).toBeGreaterThan(0);
    await move(places.slice(3));
    expect((await spread(mesh, list, 30)).slice(0, 3)).toEqual([0, 0, 0]);
    await move(places);
    expect((await spread(mesh, list, 60)).slice(3)).toEqual([0, 0, 0]);
  });

  test('slow start: one that joins gets its share little by little', async () => {
    const list = await backends(2);
    const { mesh, move } = await under(
      list.slice(0, 1).map((backend) => ({ backend })),
      {
        cluster: {
          lb_policy: 'ROUND_ROBIN',
          round_robin_lb_config: { slow_start_config: { slow_start_window: { seconds: 1 } } },
        },
      },
    );
    await ask(mesh);
    await vi.waitFor(async () => {
      const { clusters } = await mesh.configDump();
      await ask(mesh);
      expect(clusters[0]?.endpoints[0]?.weight).toBe(1);
    }, WAIT);
    await move(list.map((backend) => ({ backend })));
    const { clusters } = await mesh.configDump();
    const newcomer = clusters[0]?.endpoints.find(({ address }) => address.endsWith(`:${list[1]?.port}`));
    expect(newcomer?.weight).toBeLessThan(1);
    await vi.waitFor(async () => {
      await ask(mesh);
      const after = (await mesh.configDump()).clusters[0]?.endpoints.map(({ weight }) => weight);
      expect(after).toEqual([1, 1]);
    }, WAIT);
    const [a, b] = (await spread(mesh, list, 40)) as [number, number];
    expect(Math.abs(a - b)).toBeLessThanOrEqual(2);
  });

  test('weights by load reports: those who say that they are busy get less', async () => {
    const list = await backends(3);
    const utilization = [0.9, 0.3, 0.3];
    for (const [i, backend] of list.entries()) {
      backend.headers = {
        'endpoint-load-metrics': `JSON {"application_utilization":${utilization[i]},"rps_fractional":100}`,
      };
    }
    const policy = any(
      'envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin',
      { blackout_period: {}, weight_update_period: { nanos: 100_000_000 } },
    );
    const wrapped = any('envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality', {
      endpoint_picking_policy: { policies: [{ typed_extension_config: { name: 'wrr', typed_config: policy } }] },
    });
    const { mesh } = await under(
      list.map((backend) => ({ backend })),
      {
        cluster: {
          load_balancing_policy: {
            policies: [{ typed_extension_config: { name: 'locality', typed_config: wrapped } }],
          },
        },
      },
    );
    await spread(mesh, list, 9);
    await vi.waitFor(async () => {
      const [busy, idle, other] = (await spread(mesh, list, 70)) as [number, number, number];
      // 1 : 3 : 3, give or take a turn.
      expect(busy).toBeLessThanOrEqual(12);
      expect(Math.abs(idle - other)).toBeLessThanOrEqual(4);
    }, WAIT);
    const shown = (await mesh.configDump()).clusters.flatMap(({ endpoints }) => endpoints);
    expect(shown.map(({ reportedWeight }) => Math.round(reportedWeight ?? 0)).sort()).toEqual([111, 333, 333]);
    for (const { locality, priority } of shown)
      expect({ locality, priority }).toEqual({
        locality: expect.objectContaining({ zone: expect.any(String) }),
        priority: 0,
      });
  });
});
