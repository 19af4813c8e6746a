import { CLUSTER, ENDPOINT, LISTENER, ROUTE, type Resource, type ResourceType } from '../../core/resources.js';

/** One resource that another one needs, and where it says so. */
export interface Reference {
  readonly type: ResourceType;
  readonly name: string;
  /** Field of the resource that holds the name, e.g. `virtual_hosts[0].routes[2].route.cluster`. */
  readonly path: string;
}

type Fields = Readonly<Record<string, unknown>>;

const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The name under which a resource is asked for: `cluster_name` of a ClusterLoadAssignment, `name` of all others. */
export const resourceName = (type: ResourceType, resource: Resource): string =>
  text(resource[type === ENDPOINT ? 'cluster_name' : 'name']);

/** The ClusterLoadAssignment that a cluster of type EDS asks for; undefined for all other clusters. */
export function endpointsOf(cluster: Resource): string | undefined {
  if (cluster['type'] !== 'EDS') return undefined;
  // "Optional alternative to cluster name to present to EDS." - envoy Cluster.EdsClusterConfig.service_name
  return text(fields(cluster['eds_cluster_config'])['service_name']) || text(cluster['name']);
}

/** Every name that a resource needs to be there before it can be used. */
export function referencesOf(type: ResourceType, resource: Resource): Reference[] {
  switch (type) {
    case LISTENER:
      return listenerReferences(resource);
    case ROUTE:
      return routeReferences(resource, '');
    case CLUSTER:
      return clusterReferences(resource);
    case ENDPOINT:
      return [];
  }
}

function listenerReferences(listener: Resource): Reference[] {
  const found = connectionManagerReferences(
    fields(fields(listener['api_listener'])['api_listener']),
    'api_listener.api_listener',
  );
  const chains = list(listener['filter_chains']).map((chain, i): [unknown, string] => [chain, `filter_chains[${i}]`]);
  if (listener['default_filter_chain'] !== undefined)
    chains.push([listener['default_filter_chain'], 'default_filter_chain']);
  for (const [chain, path] of chains) {
    list(fields(chain)['filters']).forEach((filter, i) => {
      const config = fields(fields(filter)['typed_config']);
      found.push(...connectionManagerReferences(config, `${path}.filters[${i}].typed_config`));
    });
  }
  return found;
}

function connectionManagerReferences(manager: Fields, path: string): Reference[] {
  const rds = text(fields(manager['rds'])['route_config_name']);
  if (rds !== '') return [{ type: ROUTE, name: rds, path: `${path}.rds.route_config_name` }];
  return routeReferences(fields(manager['route_config']), `${path}.route_config.`);
}

function routeReferences(routes: Fields, path: string): Reference[] {
  const found: Reference[] = [];
  const cluster = (name: unknown, at: string): void => {
    if (text(name) !== '') found.push({ type: CLUSTER, name: text(name), path: at });
  };
  list(routes['virtual_hosts']).forEach((host, h) => {
    const hostPath = `${path}virtual_hosts[${h}]`;
    mirrors(fields(host), hostPath, cluster);
    list(fields(host)['routes']).forEach((route, r) => {
      const action = fields(fields(route)['route']);
      const at = `${hostPath}.routes[${r}].route`;
      cluster(action['cluster'], `${at}.cluster`);
      list(fields(action['weighted_clusters'])['clusters']).forEach((weighted, w) => {
        cluster(fields(weighted)['name'], `${at}.weighted_clusters.clusters[${w}].name`);
      });
      mirrors(action, at, cluster);
    });
  });
  return found;
}

function mirrors(holder: Fields, path: string, cluster: (name: unknown, path: string) => void): void {
  list(holder['request_mirror_policies']).forEach((mirror, m) => {
    cluster(fields(mirror)['cluster'], `${path}.request_mirror_policies[${m}].cluster`);
  });
}

function clusterReferences(cluster: Resource): Reference[] {
  const endpoints = endpointsOf(cluster);
  const aggregate = fields(fields(cluster['cluster_type'])['typed_config']);
  return [
    ...(endpoints === undefined
      ? []
      : [{ type: ENDPOINT, name: endpoints, path: 'eds_cluster_config.service_name' } as const]),
    ...list(aggregate['clusters']).flatMap((name, i) => named(name, `cluster_type.typed_config.clusters[${i}]`)),
    ...fallbackReferences(cluster),
  ];
}

const named = (name: unknown, path: string): Reference[] =>
  text(name) === '' ? [] : [{ type: CLUSTER, name: text(name), path }];

/** Clusters that its calls fall back to, which is ours (`xds/resources/fallback.ts`). */
function fallbackReferences(cluster: Resource): Reference[] {
  const member = (struct: unknown, name: string): Fields => fields(fields(fields(struct)['fields'])[name]);
  const own = fields(fields(cluster['metadata'])['filter_metadata'])['inmesh.dev'];
  const entries = list(fields(member(own, 'fallback')['list_value'])['values']);
  return entries.flatMap((entry, i) => {
    const service = member(fields(entry)['struct_value'], 'service')['struct_value'];
    const path = `metadata.filter_metadata["inmesh.dev"].fallback[${i}].service.cluster`;
    return named(member(service, 'cluster')['string_value'], path);
  });
}
