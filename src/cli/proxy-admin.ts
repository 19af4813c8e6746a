import { head, type Page, PageServer, sendJson } from '../controlplane/admin/page-server.js';
import { isLoopback, parseListenAddress } from '../controlplane/server/listen-address.js';
import { systemClock } from '../core/clock.js';
import type { Logger } from '../core/log.js';
import type { Mesh } from '../mesh/mesh.js';
import { CONTENT_TYPES } from '../observability/metrics/prometheus.js';

export interface ProxyAdminOptions {
  readonly mesh: Mesh;
  /** `host:port`. */
  readonly listen: string;
  readonly logger: Logger;
  /** Whether requests should come: the first configuration is there, and the proxy has not been told to stop. */
  readonly ready: () => boolean;
}

/** A proxy's pages that are listened for. */
export interface ProxyAdmin {
  readonly port: number;
  close(): Promise<void>;
}

/** The proxy's own pages, on the server of the control plane's. */
export async function startProxyAdmin({ mesh, listen, logger, ready }: ProxyAdminOptions): Promise<ProxyAdmin> {
  const address = parseListenAddress(listen, 'admin');
  if (!isLoopback(address.host))
    logger.warn('other machines can reach the admin pages, which nobody has to log in for', { admin: listen });
  const server = new PageServer({ listen: address, pages: pagesOf(mesh, ready), clock: systemClock, logger });
  return { port: await server.listen(), close: () => server.close() };
}

const pagesOf = (mesh: Mesh, ready: () => boolean): Readonly<Record<string, Page>> => ({
  '/ready': {
    about: '200 once the first configuration is there, 503 before, and when the proxy has been told to stop',
    serve: (response) => sendJson(response, ready() ? 200 : 503, { ready: ready() }),
  },
  '/live': { about: '200 while the process runs', serve: (response) => sendJson(response, 200, { live: true }) },
  '/metrics': {
    about: 'all metrics as Prometheus text',
    serve: (response) => {
      head(response, 200, CONTENT_TYPES.prometheus);
      response.end(mesh.prometheus());
    },
  },
  '/stats': {
    about: 'calls by service and version since the start',
    serve: (response) => sendJson(response, 200, mesh.stats()),
  },
  '/clusters': {
    about: 'the clusters in use, with their endpoints, health and load',
    serve: async (response) => sendJson(response, 200, { clusters: (await mesh.configDump()).clusters }),
  },
  '/config_dump': {
    about: 'targets with their routes, clusters, and the xDS resources behind them',
    serve: async (response) => sendJson(response, 200, await mesh.configDump()),
  },
});
