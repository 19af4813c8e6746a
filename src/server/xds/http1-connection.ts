import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DeadlineEntry } from '../../core/deadlines.js';
import { type InboundContext, inboundContext } from '../context.js';
import { goOn, pass } from '../gate.js';
import { answer, letIn } from '../http.js';
import { endWith, refuseOn } from '../socket-answer.js';
import { takeParams } from '../taken-params.js';
import type { Requester } from '../tls/with-peer.js';
import { Http1View } from '../view.js';
import type { Refuse, Serve } from './chain-routes.js';
import type { Connection, FaceEnv } from './face.js';
import { replacing } from './header-changes.js';
import { changeRequest, changeResponse } from './http1-headers.js';

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

  /** False when the request was answered here, or has to wait: `later` hands it on. */
  request(request: IncomingMessage, response: ServerResponse, later: () => void, requester: Requester): boolean {
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
    limit = this.#limit(() => this.#overdue(request, response));
    // What is put around it last changes the head first: what browsers are told stands (Envoy's filters, the router before CORS).
    if (browser !== undefined) changeResponse(response, replacing(browser.headers));
    const { gates } = decision;
    if (gates === undefined) {
      routed(decision, view, request, response);
      return true;
    }
    const context = this.#context(view);
    response.once('close', () => {
      context.answered('http', response.statusCode);
      if (response.writableFinished) context.over();
      else context.callerGone();
    });
    return goOn(pass(gates, context, 'http'), later, (refusal) => {
      if (refusal !== undefined) answer(response, refusal);
      else {
        requester.caller = context.caller;
        letIn(request, response, context);
        routed(decision, view, request, response);
      }
    });
  }

  #context(view: Http1View): InboundContext {
    const context = inboundContext(view.headers, this.env.clock);
    context.makeView = () => view;
    context.connection = this.connection.socket;
    context.trustedHops = this.connection.trustedHops;
    return context;
  }

  /** A request to use the socket for something else: `Upgrade`, or CONNECT. */
  upgrade(request: IncomingMessage, socket: Duplex, later: () => void, requester: Requester): boolean {
    const view = new Http1View(request);
    const decision = this.connection.routes.decide(view);
    if (decision.kind === 'refuse') {
      endWith(socket, refusalStatus(decision), PLAIN, `${decision.message}\n`);
      return false;
    }
    this.#upgraded = true;
    const limit = this.#limit(() => socket.destroy());
    if (limit !== undefined) socket.once('close', () => limit.stop());
    const take = (): void => {
      if (decision.requestHeaders !== undefined) changeRequest(request, decision.requestHeaders(view));
    };
    const { gates } = decision;
    if (gates === undefined) {
      take();
      return true;
    }
    const context = this.#context(view);
    socket.once('close', () => context.callerGone());
    return goOn(pass(gates, context, 'http'), later, (refusal) => {
      if (refusal !== undefined) return refuseOn(socket, refusal);
      // A tunnel stays open for as long as it likes: it has no place that others wait for, and teaches nothing.
      for (const gate of gates) gate.withdrawn?.(context);
      if (context.requestHeaders !== undefined) changeRequest(request, replacing(context.requestHeaders));
      if (context.takenParams !== undefined) takeParams(request, context.takenParams);
      requester.caller = context.caller;
      take();
    });
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
    else endWith(socket, request.complete ? 504 : 408, PLAIN, 'the request took longer than max_stream_duration\n');
  }

  #endWhenIdle(): void {
    if (this.#draining !== 'close' || this.#upgraded || this.#responses.size > 0) return;
    const { socket } = this.connection;
    socket.end(() => socket.destroy());
  }
}

const PLAIN = { 'content-type': 'text/plain' };

function routed(decision: Serve, view: Http1View, request: IncomingMessage, response: ServerResponse): void {
  if (decision.requestHeaders !== undefined) changeRequest(request, decision.requestHeaders(view));
  if (decision.responseHeaders !== undefined) changeResponse(response, decision.responseHeaders(view));
}

export const refusalStatus = ({ reason }: Refuse): number =>
  reason === 'no-route' ? 404 : reason === 'several-hosts' ? 400 : 503;
