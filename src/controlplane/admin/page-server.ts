import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { ListenAddress } from '../server/listen-address.js';
import { isTrustedHost } from './host-check.js';

/** One page: what the index says of it, and what answers. */
export interface Page {
  readonly about: string;
  /** May take its time; a failure is answered with 500, and is on the log. */
  readonly serve: (response: ServerResponse, url: URL) => void | Promise<void>;
}

export interface PageServerOptions {
  readonly listen: ListenAddress;
  /** By path; the index at `/` is added. */
  readonly pages: Readonly<Record<string, Page>>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Connections at once: a scraper, a probe and a person with a browser need a handful. */
const MAX_CONNECTIONS = 64;
/** A request has no body worth waiting for, in milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
/** How long `close` waits for an answer that is being read, in milliseconds. */
const DRAIN_MS = 1_000;

/** Pages over HTTP for operators and probes. Reads only. */
export class PageServer {
  readonly #server: Server;
  /** For the index: path and what it shows. */
  readonly #index: Readonly<Record<string, string>>;
  #closing: Promise<void> | undefined;

  constructor(private readonly options: PageServerOptions) {
    this.#index = Object.fromEntries(Object.entries(options.pages).map(([path, { about }]) => [path, about]));
    this.#server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        this.#serve(request, response).catch((error: unknown) => {
          options.logger.error('admin page failed', { url: request.url, error: String(error) });
          if (!response.headersSent) sendJson(response, 500, { error: 'the page could not be made: see the log' });
          else response.destroy();
        });
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

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { listen, pages } = this.options;
    if (!isTrustedHost(request.headers.host, listen.host))
      return sendJson(response, 421, { error: `Host must be an IP address, localhost or ${listen.host}` });
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return sendJson(response, 405, { error: `${request.method} is not allowed: pages are read with GET` });
    }
    const url = new URL(`http://admin${request.url?.startsWith('/') ? request.url : '/'}`);
    if (url.pathname === '/') return sendJson(response, 200, { pages: this.#index });
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
    if (page === undefined) return sendJson(response, 404, { error: `no page ${url.pathname}`, pages: this.#index });
    await page.serve(response, url);
  }
}

export function head(response: ServerResponse, status: number, contentType = 'application/json'): void {
  response.writeHead(status, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
}

export function sendJson(response: ServerResponse, status: number, page: object): void {
  head(response, status);
  response.end(`${JSON.stringify(page, null, 2)}\n`);
}
