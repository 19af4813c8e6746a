import { compileText, formatProblem } from '../../../src/controlplane/config.js';
import { CLUSTER, ENDPOINT, type Resource, ROUTE } from '../../../src/core/resources.js';
import { startProxy } from '../../../src/proxy/index.js';
import { any, routerFilter } from '../../support/xds-resources.js';
import { type Carrier, type CarrierName, openCarrier } from '../../e2e/support/carriers.js';
import { Envoy, envoyBinary } from '../envoy/envoy.js';
import { OurSide } from '../envoy/our-side.js';

/** Who decides about the requests of a test. */
export interface Side {
  /** Where to send a request for this host. */
  port(host: string): number;
  close(): Promise<void>;
}

/** Our proxy, with documents that come to its mesh in one of our ways. */
export async function carried(name: CarrierName, yaml: string): Promise<Side & Pick<Carrier, 'edit'>> {
  const carrier = await openCarrier(name, yaml);
  const proxy = await startProxy({ service: carrier.mesh.service, listen: '127.0.0.1:0' });
  return {
    port: () => proxy.port,
    edit: (text) => carrier.edit(text),
    close: async () => {
      await proxy.close({ graceMs: 0 });
      await carrier.close();
    },
  };
}

const cors = { name: 'envoy.filters.http.cors', typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') };

/** What our compiler makes of documents that may name backends which are not there, as those of a cluster may. */
function compiled(yaml: string) {
  const { resources, problems } = compileText([{ name: 'mesh.yaml', text: yaml }], { danglingBackends: 'answer-500' });
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'));
  return resources;
}

/** Our proxy with that. */
export async function decidedByUs(yaml: string): Promise<Side> {
  const ours = await OurSide.start(compiled(yaml));
  return { port: () => ours.proxy.port, close: () => ours.close() };
}

/** An Envoy with the routes and clusters of that. */
export async function decidedByEnvoy(yaml: string): Promise<Side> {
  const resources = compiled(yaml);
  const routes = [...resources[ROUTE].values()];
  const clusters = [...resources[CLUSTER].values()].map((cluster) => {
    const { eds_cluster_config: _, ...rest } = cluster;
    // The endpoints with it: there is no EDS here.
    return { ...rest, type: 'STATIC', load_assignment: resources[ENDPOINT].get(String(cluster['name'])) as Resource };
  });
  const envoy = await Envoy.start({ binary: envoyBinary as string, routes, clusters, filters: [cors, routerFilter] });
  if (envoy.reasons.length > 0) {
    await envoy.close();
    throw new Error(`Envoy refuses what the compiler made: ${envoy.reasons.join('; ')}`);
  }
  return {
    port: (host) => envoy.ports.get(`${host.includes('.') ? host : `${host}.default`}:80`) as number,
    close: () => envoy.close(),
  };
}
