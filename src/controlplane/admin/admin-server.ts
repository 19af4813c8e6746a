import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { ListenAddress } from '../server/listen-address.js';
import type { Session } from '../server/session.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { head, type Page, PageServer, sendJson } from './page-server.js';
import { clientView, configDump, filteredTypes } from './views.js';

/** What the pages show. Read when somebody asks. */
export interface AdminSource {
  ready(): boolean;
  status(): object;
  snapshot(): Snapshot | undefined;
  sessions(): Iterable<Session>;
  /** Prometheus text. Undefined: nobody counts. */
  readonly metrics?: (() => string) | undefined;
}

export interface AdminServerOptions {
  readonly listen: ListenAddress;
  readonly source: AdminSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The control plane's own pages, all JSON. */
export class AdminServer extends PageServer {
  constructor({ source, ...options }: AdminServerOptions) {
    super({ ...options, pages: pagesOf(source) });
  }
}

const pagesOf = (source: AdminSource): Readonly<Record<string, Page>> => ({
  '/ready': {
    about: '200 once a good configuration has been loaded, 503 before',
    serve: (response) => sendJson(response, source.ready() ? 200 : 503, { ready: source.ready() }),
  },
  '/live': { about: '200 while the process runs', serve: (response) => sendJson(response, 200, { live: true }) },
  '/status': {
    about: 'the last good configuration, and what is wrong with the current files',
    serve: (response) => sendJson(response, 200, source.status()),
  },
  '/clients': {
    about: 'connected xDS clients: what they asked for, accepted and refused',
    serve: (response) => sendJson(response, 200, { clients: Array.from(source.sessions(), clientView) }),
  },
  ...(source.metrics !== undefined && { '/metrics': metricsPage(source.metrics) }),
  '/config_dump': {
    about: 'the resources that are served; ?type=Cluster and ?name= narrow it down',
    serve: (response, url) => sendConfigDump(source, url, response),
  },
});

const metricsPage = (metrics: () => string): Page => ({
  about: 'all metrics as Prometheus text',
  serve: (response) => {
    head(response, 200, 'text/plain; version=0.0.4; charset=utf-8');
    response.end(metrics());
  },
});

function sendConfigDump(source: AdminSource, { searchParams }: URL, response: ServerResponse): void {
  const snapshot = source.snapshot();
  if (snapshot === undefined)
    return sendJson(response, 503, { error: 'no good configuration has been loaded yet: see /status' });
  const type = searchParams.get('type') ?? undefined;
  const name = searchParams.get('name') ?? undefined;
  const types = filteredTypes({ type, name });
  if (types === undefined)
    return sendJson(response, 400, {
      error: `type must be Cluster, ClusterLoadAssignment, Listener or RouteConfiguration`,
    });
  head(response, 200);
  const dump = Readable.from(configDump(snapshot, types, name));
  response.once('close', () => dump.destroy());
  dump.pipe(response);
}
