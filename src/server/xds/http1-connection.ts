import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DeadlineEntry } from '../../core/deadlines.js';
import type { Refuse } from './chain-routes.js';
import type { Connection, FaceEnv } from './face.js';
import { replacing } from './header-changes.js';
import { changeRequest, changeResponse } from './http1-headers.js';
import { Http1View } from './http-view.js';

/** One HTTP/1.1 connection: which responses are under way on it, and whether it is to go. */
export class Http1Connection {
  /** In the order in which they are sent. */
  readonly #responses = new Set<ServerResponse>();
  #draining: 'no' | 'keep' | 'close' = 'no';
  /** The socket is no longer HTTP: a WebSocket, a tunnel. */
  #upgraded = false;

  constructor(
    private readonly connection: Connection,
    private readonly env: FaceEnv,
  ) {}

  /** Every response of the connection is the last from now on. */
  drain(idle: 'keep' | 'close'): void {
    if (this.#draining !== 'close') this.#draining = idle;
    for (const response of this.#responses) response.shouldKeepAlive = false;
    this.#endWhenIdle();
  }

  /** False when the request was answered here. */
  request(request: IncomingMessage, response: ServerResponse): boolean {
    // A listener for `checkContinue` may hand the request on as `request`.
    if (this.#responses.has(response)) return true;
    this.#responses.add(response);
    // Node says `Connection: close` then, and closes after the response.
    if (this.#draining !== 'no') response.shouldKeepAlive = false;
    let limit: DeadlineEntry | undefined;
    response.once('close', () => {
      limit?.stop();
      this.#responses.delete(response);
      this.#endWhenIdle();
    });
    const { routes } = this.connection;
    const view = new Http1View(request);
    const decision = routes.decide(view);
    if (decision.kind === 'refuse') {
      response.writeHead(refusalStatus(decision), { 'content-type': 'text/plain' });
      response.end(`${decision.message}\n`);
      return false;
    }
    const browser = decision.cors?.(view);
    if (browser?.kind === 'preflight') {
      response.writeHead(200, browser.headers);
      response.end();
      return false;
    }
    if (decision.requestHeaders !== undefined) changeRequest(request, decision.requestHeaders(view));
    // What is put around it last changes the head first: what browsers are told stands (Envoy's filters, the router before CORS).
    if (browser !== undefined) changeResponse(response, replacing(browser.headers));
    if (decision.responseHeaders !== undefined) changeResponse(response, decision.responseHeaders(view));
    limit = this.#limit(() => this.#overdue(request, response));
    return true;
  }

  /** A request to use the socket for something else: `Upgrade`, or CONNECT. */
  upgrade(request: IncomingMessage, socket: Duplex): boolean {
    const view = new Http1View(request);
    const decision = this.connection.routes.decide(view);
    if (decision.kind === 'refuse') {
      endWith(socket, refusalStatus(decision), decision.message);
      return false;
    }
    if (decision.requestHeaders !== undefined) changeRequest(request, decision.requestHeaders(view));
    this.#upgraded = true;
    const limit = this.#limit(() => socket.destroy());
    if (limit !== undefined) socket.once('close', () => limit.stop());
    return true;
  }

  #limit(expired: () => void): DeadlineEntry | undefined {
    const { maxDurationMs } = this.connection.routes;
    if (maxDurationMs === undefined) return undefined;
    return this.env.deadlines.watch(this.env.clock.now() + maxDurationMs, expired);
  }

  /**
   * Envoy `max_stream_duration`: 504, or 408 when the request was not complete; a response that has begun is cut off. Not through
   * `response`: the application is free to write to it until it closes, as it is when a client goes away.
   */
  #overdue(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = this.connection;
    const [next] = this.#responses;
    if (response.headersSent || next !== response) socket.destroy();
    else endWith(socket, request.complete ? 504 : 408, 'the request took longer than max_stream_duration');
  }

  #endWhenIdle(): void {
    if (this.#draining !== 'close' || this.#upgraded || this.#responses.size > 0) return;
    const { socket } = this.connection;
    socket.end(() => socket.destroy());
  }
}

export const refusalStatus = ({ reason }: Refuse): number => (reason === 'no-route' ? 404 : 503);

const REASONS: Readonly<Record<number, string>> = {
  404: 'Not Found',
  408: 'Request Timeout',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** A whole response and the end of the connection. */
function endWith(socket: Duplex, status: number, message: string): void {
  socket.on('error', () => socket.destroy());
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\nconnection: close\r\ncontent-type: text/plain\r\n`;
  socket.end(`${head}content-length: ${message.length + 1}\r\n\r\n${message}\n`, () => socket.destroy());
}
