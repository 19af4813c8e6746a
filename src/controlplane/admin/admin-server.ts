import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { ListenAddress } from '../server/listen-address.js';
import type { Session } from '../server/session.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { isTrustedHost } from './host-check.js';
import { clientView, configDump, filteredTypes } from './views.js';

/** What the pages show. Read when somebody asks. */
export interface AdminSource {
  ready(): boolean;
  status(): object;
  snapshot(): Snapshot | undefined;
  sessions(): Iterable<Session>;
}

export interface AdminServerOptions {
  readonly listen: ListenAddress;
  readonly source: AdminSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Connections at once: a scraper, a probe and a person with a browser need a handful. */
const MAX_CONNECTIONS = 64;
/** A request has no body worth waiting for, in milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
/** How long `close` waits for an answer that is being read, in milliseconds. */
const DRAIN_MS = 1_000;

/** For the index page: path and what it shows. */
const PAGES = {
  '/ready': '200 once a good configuration has been loaded, 503 before',
  '/live': '200 while the process runs',
  '/status': 'the last good configuration, and what is wrong with the current files',
  '/clients': 'connected xDS clients: what they asked for, accepted and refused',
  '/config_dump': 'the resources that are served; ?type=Cluster and ?name= narrow it down',
};

/** JSON pages over HTTP for operators and probes. Reads only. */
export class AdminServer {
  readonly #server: Server;
  #closing: Promise<void> | undefined;

  constructor(private readonly options: AdminServerOptions) {
    this.#server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        try {
          this.#serve(request, response);
        } catch (error) {
          options.logger.error('admin page failed', { url: request.url, error: String(error) });
          if (!response.headersSent) send(response, 500, { error: 'the page could not be made: see the log' });
          else response.destroy();
        }
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Resolves with the port. */
  listen(): Promise<number> {
    const { host, port } = this.options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        reject(new Error(`cannot listen on ${host}:${port} for the admin page: ${error.message}`, { cause: error }));
      });
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const cancel = this.options.clock.after(DRAIN_MS, () => this.#server.closeAllConnections());
      this.#server.close(() => {
        cancel();
        resolve();
      });
      this.#server.closeIdleConnections();
    });
    return this.#closing;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    if (!isTrustedHost(request.headers.host, this.options.listen.host)) {
      return send(response, 421, { error: `Host must be an IP address, localhost or ${this.options.listen.host}` });
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return send(response, 405, { error: `${request.method} is not allowed: pages are read with GET` });
    }
    const url = new URL(`http://admin${request.url?.startsWith('/') ? request.url : '/'}`);
    const { source } = this.options;
    switch (url.pathname) {
      case '/':
        return send(response, 200, { pages: PAGES });
      case '/ready':
        return send(response, source.ready() ? 200 : 503, { ready: source.ready() });
      case '/live':
        return send(response, 200, { live: true });
      case '/status':
        return send(response, 200, source.status());
      case '/clients':
        return send(response, 200, { clients: Array.from(source.sessions(), clientView) });
      case '/config_dump':
        return this.#configDump(url, response);
      default:
        return send(response, 404, { error: `no page ${url.pathname}`, pages: PAGES });
    }
  }

  #configDump({ searchParams }: URL, response: ServerResponse): void {
    const snapshot = this.options.source.snapshot();
    if (snapshot === undefined)
      return send(response, 503, { error: 'no good configuration has been loaded yet: see /status' });
    const type = searchParams.get('type') ?? undefined;
    const name = searchParams.get('name') ?? undefined;
    const types = filteredTypes({ type, name });
    if (types === undefined)
      return send(response, 400, {
        error: `type must be Cluster, ClusterLoadAssignment, Listener or RouteConfiguration`,
      });
    head(response, 200);
    const dump = Readable.from(configDump(snapshot, types, name));
    response.once('close', () => dump.destroy());
    dump.pipe(response);
  }
}

function head(response: ServerResponse, status: number): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
}

function send(response: ServerResponse, status: number, page: object): void {
  head(response, status);
  response.end(`${JSON.stringify(page, null, 2)}\n`);
}
