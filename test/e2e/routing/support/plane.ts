import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../../src/core/resources.js';
import { type Mesh, meshClient, type MeshOptions } from '../../../../src/index.js';
import {
  any,
  clusterResource,
  lbEndpoint,
  listenerResource,
  locality,
  routeResource,
  routerFilter,
} from '../../../support/xds-resources.js';
import { ScriptedPlane } from '../../robustness/scripted-plane.js';
import { collectingLogger, type Opened } from '../../robustness/support.js';
import { Shop } from './shop.js';

/** Endpoints of a cluster: servers, or ports of servers, with labels. */
export interface Stock {
  readonly port: number;
  readonly labels?: Readonly<Record<string, string>>;
}

const endpointsOf = (name: string, stock: readonly Stock[]): Resource => ({
  cluster_name: name,
  endpoints: [
    locality(
      stock.map(({ port, labels }) =>
        lbEndpoint('127.0.0.1', port, labels === undefined ? {} : { metadata: labelled(labels) }),
      ),
    ),
  ],
});

/** Metadata that asks for labels, or has them. */
export const labelled = (labels: Readonly<Record<string, string>>): Resource => ({
  filter_metadata: {
    'envoy.lb': {
      fields: Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, { string_value: value }])),
    },
  },
});

export const corsFilter: Resource = { name: 'cors', typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') };

export interface Push {
  readonly routes: readonly Resource[];
  /** Names that there are listeners for, all with these routes. Default: `reviews`. */
  readonly names?: readonly string[];
  /** Further fields of the virtual host, the route configuration, the connection manager, and each cluster. */
  readonly host?: Resource;
  readonly config?: Resource;
  readonly filters?: readonly Resource[];
  readonly cluster?: Resource;
}

/** A control plane that pushes routes of `reviews` over clusters by name, and a mesh under it. */
export class Scene {
  private constructor(
    readonly plane: ScriptedPlane,
    readonly mesh: Mesh,
  ) {}

  static async open(
    opened: Opened,
    clusters: Readonly<Record<string, readonly Stock[]>>,
    { routes, names = ['reviews'], host, config, filters = [], cluster = {} }: Push,
    options: MeshOptions = {},
  ): Promise<Scene> {
    const plane = opened.add(await ScriptedPlane.start(), (each) => each.close());
    plane.hold(
      LISTENER,
      ...[...names, 'elsewhere'].map((name) =>
        listenerResource(name, name === 'elsewhere' ? name : 'routes', {
          http_filters: [...filters, routerFilter],
        }),
      ),
    );
    plane.hold(
      ROUTE,
      { ...routeResource('routes', routes, host), ...config },
      routeResource('elsewhere', [{ match: { prefix: '/' }, route: { cluster: Object.keys(clusters)[0] as string } }]),
    );
    plane.hold(
      CLUSTER,
      ...Object.keys(clusters).map((name) => clusterResource(name, { http2_protocol_options: {}, ...cluster })),
    );
    plane.hold(ENDPOINT, ...Object.entries(clusters).map(([name, stock]) => endpointsOf(name, stock)));
    const mesh = opened.add(meshClient({ xds: plane.address, logger: collectingLogger(), ...options }), (each) =>
      each.close(),
    );
    return new Scene(plane, mesh);
  }

  /** The routes from now on. */
  reroute(routes: readonly Resource[]): void {
    this.plane.hold(ROUTE, routeResource('routes', routes));
    this.plane.push(ROUTE);
  }

  /** The endpoints from now on. */
  restock(clusters: Readonly<Record<string, readonly Stock[]>>): void {
    this.plane.hold(ENDPOINT, ...Object.entries(clusters).map(([name, stock]) => endpointsOf(name, stock)));
    this.plane.push(ENDPOINT);
  }
}

export async function shops<N extends string>(opened: Opened, ...names: N[]): Promise<Record<N, Shop>> {
  const made: [string, Shop][] = [];
  for (const name of names) made.push([name, opened.add(await Shop.start(name), (shop) => shop.kill())]);
  return Object.fromEntries(made) as Record<N, Shop>;
}
