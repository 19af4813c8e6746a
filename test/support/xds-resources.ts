import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceSet,
  type ResourceType,
  ROUTE,
  TYPE_PREFIX,
} from '../../src/core/resources.js';

/** Valid xDS resources in their plain shape, to be varied by tests. */

export const any = (type: string, fields: Resource = {}): Resource => ({ '@type': `${TYPE_PREFIX}${type}`, ...fields });

export const ads: Resource = { ads: {} };

export const routerFilter: Resource = {
  name: 'envoy.filters.http.router',
  typed_config: any('envoy.extensions.filters.http.router.v3.Router'),
};

export const connectionManager = (fields: Resource): Resource =>
  any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    http_filters: [routerFilter],
    ...fields,
  });

/** A client's listener that takes its routes over RDS. */
export const listenerResource = (name: string, routeConfig: string, hcm: Resource = {}): Resource => ({
  name,
  api_listener: {
    api_listener: connectionManager({ rds: { config_source: ads, route_config_name: routeConfig }, ...hcm }),
  },
});

/** One virtual host for all names. */
export const routeResource = (name: string, routes: readonly Resource[], fields: Resource = {}): Resource => ({
  name,
  virtual_hosts: [{ name: 'all', domains: ['*'], routes, ...fields }],
});

export const toCluster = (cluster: string, match: Resource = { prefix: '/' }, action: Resource = {}): Resource => ({
  match,
  route: { cluster, ...action },
});

export const clusterResource = (name: string, fields: Resource = {}): Resource => ({
  name,
  type: 'EDS',
  eds_cluster_config: { eds_config: ads },
  ...fields,
});

export const lbEndpoint = (host: string, port: number, fields: Resource = {}): Resource => ({
  endpoint: { address: { socket_address: { address: host, port_value: port } } },
  ...fields,
});

export const locality = (endpoints: readonly Resource[], fields: Resource = {}): Resource => ({
  locality: { region: 'r', zone: 'z' },
  load_balancing_weight: { value: 1 },
  lb_endpoints: endpoints,
  ...fields,
});

export const endpointResource = (name: string, ...ports: readonly number[]): Resource => ({
  cluster_name: name,
  endpoints: [locality(ports.map((port) => lbEndpoint('127.0.0.1', port)))],
});

export const struct = (fields: Readonly<Record<string, Resource>>): Resource => ({ fields });
export const numberValue = (number_value: number): Resource => ({ number_value });

/** A set from lists; names are read from the resources. */
export function resourceSet(lists: Partial<Record<'cds' | 'eds' | 'lds' | 'rds', readonly Resource[]>>): ResourceSet {
  const byName = (type: ResourceType, list: readonly Resource[] = []): ReadonlyMap<string, Resource> =>
    new Map(list.map((resource) => [String(resource[type === ENDPOINT ? 'cluster_name' : 'name']), resource]));
  return {
    [CLUSTER]: byName(CLUSTER, lists.cds),
    [ENDPOINT]: byName(ENDPOINT, lists.eds),
    [LISTENER]: byName(LISTENER, lists.lds),
    [ROUTE]: byName(ROUTE, lists.rds),
  };
}
