import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceSet, ROUTE } from '../../src/core/resources.js';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
const ADS = { ads: {}, resource_api_version: 'V3' };

export const edsCluster = (name: string, extra: Resource = {}): Resource => ({
  name,
  type: 'EDS',
  eds_cluster_config: { eds_config: ADS },
  ...extra,
});

export const endpoints = (cluster: string, ...ports: number[]): Resource => ({
  cluster_name: cluster,
  endpoints: [
    {
      locality: { region: 'local' },
      load_balancing_weight: { value: 1 },
      lb_endpoints: ports.map((port) => ({
        endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
        health_status: 'HEALTHY',
      })),
    },
  ],
});

export const listener = (name: string, route: string): Resource => ({
  name,
  api_listener: {
    api_listener: {
      '@type': HCM,
      rds: { route_config_name: route, config_source: ADS },
      http_filters: [{ name: 'router', typed_config: { '@type': ROUTER } }],
    },
  },
});

export const routes = (name: string, ...clusters: string[]): Resource => ({
  name,
  virtual_hosts: [
    {
      name: 'all',
      domains: ['*'],
      routes: clusters.map((cluster) => ({ match: { prefix: '/' }, route: { cluster } })),
    },
  ],
});

const byName = (list: readonly Resource[], key: string) => new Map(list.map((it) => [String(it[key]), it] as const));

/** A set from lists of resources. */
export const resourceSet = (parts: {
  clusters?: readonly Resource[];
  endpoints?: readonly Resource[];
  listeners?: readonly Resource[];
  routes?: readonly Resource[];
}): ResourceSet => ({
  [CLUSTER]: byName(parts.clusters ?? [], 'name'),
  [ENDPOINT]: byName(parts.endpoints ?? [], 'cluster_name'),
  [LISTENER]: byName(parts.listeners ?? [], 'name'),
  [ROUTE]: byName(parts.routes ?? [], 'name'),
});

/** Listener and route configuration `listener` over EDS clusters, each with one endpoint. */
export const meshOf = (services: Readonly<Record<string, readonly string[]>>, port = 9001): ResourceSet => {
  const clusters = [...new Set(Object.values(services).flat())];
  return resourceSet({
    clusters: clusters.map((name) => edsCluster(name)),
    endpoints: clusters.map((name) => endpoints(name, port)),
    listeners: Object.keys(services).map((name) => listener(name, `${name}-routes`)),
    routes: Object.entries(services).map(([name, named]) => routes(`${name}-routes`, ...named)),
  });
};

/** Stands in for the wire where only order and identity matter. Keys are sorted, as the codec's fields are. */
export const jsonEncode = (_type: string, resource: Resource): Uint8Array =>
  Buffer.from(
    JSON.stringify(resource, (_key, value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    ),
  );
