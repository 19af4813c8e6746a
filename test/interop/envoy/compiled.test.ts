import { afterAll, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { bookinfo, everything } from '../../support/mesh-examples.js';
import { requestPolicies } from '../../support/mesh-requests.js';
import { compileYaml } from '../../support/mesh-yaml.js';
import { routerFilter } from '../../support/xds-resources.js';
import { Envoy, envoyBinary } from './envoy.js';

/* What our compiler makes of YAML with every field of it, taken by a real Envoy: nothing refused, with what only inmesh reads passed over. */

let envoy: Envoy | undefined;
afterAll(() => envoy?.close());

interface ApiListener {
  readonly api_listener?: { readonly api_listener: { readonly http_filters: readonly Resource[] } };
}

/** The filters of all listeners that are for clients: here every listener has them. */
function filtersOf({ resources }: ReturnType<typeof compileYaml>): Resource[] {
  const found = new Map<string, Resource>();
  for (const listener of resources[LISTENER].values()) {
    const { api_listener: api } = listener as ApiListener;
    for (const filter of api?.api_listener.http_filters ?? []) found.set(String(filter['name']), filter);
  }
  found.delete(String(routerFilter['name']));
  return [...found.values(), routerFilter];
}

/** Envoy has checks by gRPC only for clusters that speak HTTP/2 to everybody; with us every endpoint may speak gRPC. */
function checksFor(cluster: Resource): Resource {
  const checks = cluster['health_checks'] as readonly Resource[] | undefined;
  if (checks === undefined || JSON.stringify(cluster).includes('http2_protocol_options')) return cluster;
  return { ...cluster, health_checks: checks.filter((check) => check['grpc_health_check'] === undefined) };
}

/**
 * Clusters with their endpoints in them: Envoy has no control plane here to ask for them. But for those with TLS by the system's roots (gRFC A82),
 * which Envoy does not have.
 */
function selfContained({ resources }: ReturnType<typeof compileYaml>): Resource[] {
  return [...resources[CLUSTER]].flatMap(([name, cluster]) => {
    if (cluster['transport_socket'] !== undefined) return [];
    if (cluster['type'] !== 'EDS') return [checksFor(cluster)];
    const { eds_cluster_config: _, ...rest } = checksFor(cluster);
    return [{ ...rest, type: 'STATIC', load_assignment: resources[ENDPOINT].get(name) } as Resource];
  });
}

test.skipIf(envoyBinary === undefined).each([
  ['bookinfo', bookinfo],
  ['every field', everything],
  ['policies of requests', requestPolicies],
])('a real Envoy takes what is compiled: %s', async (_, text) => {
  const compiled = compileYaml(text);
  envoy = await Envoy.start({
    binary: envoyBinary as string,
    routes: [...compiled.resources[ROUTE].values()],
    clusters: selfContained(compiled),
    filters: filtersOf(compiled),
  });
  expect({ refused: envoy.refused, reasons: envoy.reasons }).toEqual({ refused: [], reasons: [] });
  expect(envoy.ports.size).toBe(compiled.resources[ROUTE].size);
  await envoy.close();
  envoy = undefined;
});
