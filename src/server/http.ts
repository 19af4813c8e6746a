import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { withAmbient } from '../core/ambient.js';
import type { InboundContext, InboundHeaders } from './context.js';
import { Inbound, type InboundOptions } from './inbound.js';
import { type HeadedResponse, releaseEventStream } from './event-stream.js';
import type { Passage } from './gate.js';
import { type ReportingResponse, reportInHead } from './orca/http.js';
import { type Refusal, refusalReply } from './refusal.js';
import { takeFromPath, takeParams } from './taken-params.js';
import { carrierOf } from './tls/carrier.js';
import { type InboundView, viewOf } from './view.js';
import { changeFields, replacing } from './xds/header-changes.js';
import { changeRequest } from './xds/http1-headers.js';

/** As much of a request as is read: node:http, node:http2 and all frameworks on top of them have it. */
export interface InboundRequest {
  readonly headers: InboundHeaders;
}

/** As much of a response as is watched, or written to. */
export interface InboundResponse extends ReportingResponse, HeadedResponse {
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  /** HTTP/1.1: `close` has been told. */
  readonly closed?: boolean;
  /** HTTP/2, whose responses do not say that themselves. */
  readonly stream?: { readonly closed: boolean; close?(code: number): void } | undefined;
  setHeader(name: string, value: string | string[]): unknown;
  end(body: string | Uint8Array): unknown;
  destroy(): unknown;
}

/** Contexts by request, so that a middleware that is mounted twice, or again after a body parser, goes on with the same one. */
const contexts = new WeakMap<InboundRequest, InboundContext>();

/** The context of a request, made at the first time of asking. */
export function contextFor(inbound: Inbound, request: InboundRequest, response: InboundResponse): InboundContext {
  let context = contexts.get(request);
  const view = (): InboundView => viewOf(request as IncomingMessage);
  if (context !== undefined) inbound.join(context, request.headers, 'http', view);
  else {
    const made = inbound.context(request.headers, 'http', view);
    context = made;
    made.connection = carrierOf(request);
    contexts.set(request, made);
    const closed = (): void => {
      made.answered('http', response.statusCode);
      // A response of HTTP/2 is finished when its stream is, also by the client; one of HTTP/1.1 has ended as soon as the handler says so.
      if (response.writableEnded && response.writableFinished) made.over();
      else made.callerGone();
    };
    // What comes before us may have waited, for a user to be looked up, say: nobody is told twice.
    if (response.closed ?? response.stream?.closed ?? false) closed();
    else response.once('close', closed);
  }
  if (inbound.reporting !== undefined) context.metrics ??= reportInHead(response, inbound.reporting);
  return context;
}

/** Runs `serve` for the request, inside of its context; or answers it, when it is not to be served. At once, unless a gate makes it wait. */
export function enter<R>(
  inbound: Inbound,
  request: InboundRequest,
  response: InboundResponse,
  serve: () => R,
): R | undefined | Promise<R | undefined> {
  const context = contextFor(inbound, request, response);
  const go = (refusal: Passage): R | undefined => {
    if (refusal === undefined) {
      letIn(request, response, context);
      return withAmbient(context, serve);
    }
    answer(response, refusal);
    return undefined;
  };
  const passage = inbound.refusal(context, 'http');
  if (!(passage instanceof Promise)) return go(passage);
  // Who comes before us may have answered meanwhile, with a time limit of its own for example.
  return passage.then((refusal) => (response.writableEnded ? undefined : go(refusal)));
}

/** What the gates want of the response of a request that has passed them. */
export function letIn(request: InboundRequest, response: InboundResponse, context: InboundContext): void {
  const { replyHeaders, requestHeaders, takenParams } = context;
  if (takenParams !== undefined) {
    const node = request as IncomingMessage | Http2ServerRequest;
    takeParams(node, takenParams);
    if ('stream' in node) takeFromPath(node.headers, node.rawHeaders, takenParams);
  }
  if (requestHeaders !== undefined) {
    context.requestHeaders = undefined;
    const changes = replacing(requestHeaders);
    const node = request as IncomingMessage | Http2ServerRequest;
    if ('stream' in node) changeFields(node.headers, node.rawHeaders, changes);
    else changeRequest(node, changes);
  }
  if (replyHeaders !== undefined) {
    context.replyHeaders = undefined;
    if (!response.headersSent)
      for (const name in replyHeaders) response.setHeader(name, replyHeaders[name] as string | string[]);
  }
  releaseEventStream(response, context);
}

/** A response of HTTP/2 is one of many on its connection. */
function cut(response: InboundResponse): void {
  if (response.stream !== undefined) response.stream.close?.(INTERNAL_ERROR);
  else response.destroy();
}

/** RFC 9113 section 7. */
const INTERNAL_ERROR = 2;

/** Answers in the handler's place, unless somebody else has begun to. */
export function answer(response: InboundResponse, refusal: Refusal): void {
  if (response.headersSent || response.writableEnded) return;
  if (refusal.reset === true) return cut(response);
  const { status, headers, body } = refusalReply(refusal);
  for (const name in headers) response.setHeader(name, headers[name] as string | string[]);
  response.writeHead(status);
  response.end(body);
}

/**
 * A node:http or node:http2 request handler whose mesh calls carry the request's trace, deadline, priority and cancellation.
 *
 * ```ts
 * createServer(meshHandler(async (req, res) => { const reply = await mesh.fetch('http://ratings/7'); … }, { mesh }));
 * ```
 */
export function meshHandler<Q extends InboundRequest, S extends InboundResponse, R>(
  handler: (request: Q, response: S) => R,
  options?: InboundOptions,
): (request: Q, response: S) => R | undefined | Promise<R | undefined> {
  const inbound = new Inbound(options);
  return (request, response) => enter(inbound, request, response, () => handler(request, response));
}
