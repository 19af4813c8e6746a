import type { IncomingMessage } from 'node:http';
import { withAmbient } from '../core/ambient.js';
import type { HeaderFields } from '../core/headers.js';
import { otherParams } from '../identity/authn/locations.js';
import type { InboundContext, InboundHeaders } from './context.js';
import { isEventStream } from './event-stream.js';
import { answer, contextFor, type InboundRequest, type InboundResponse } from './http.js';
import { Inbound, type InboundOptions } from './inbound.js';
import { refusalReply } from './refusal.js';
import { takeParams } from './taken-params.js';
import { WebView } from './view.js';

export type { InboundOptions } from './inbound.js';

/** As much of Hono's context as is read. */
export interface HonoContextLike {
  readonly req: { raw: Request };
  header(name: string, value: string, options?: { readonly append: boolean }): void;
  readonly res: Response;
  /** `@hono/node-server` puts Node's own two objects here. */
  readonly env: unknown;
}

/**
 * Middleware for Hono: mesh calls made by handlers carry the request's trace, deadline, priority and cancellation.
 *
 * ```ts
 * app.use(meshMiddleware({ mesh }));
 * ```
 *
 * Mount it first. Load reports (`orca`) need `@hono/node-server`.
 */
export function meshMiddleware(
  options?: InboundOptions,
): (c: HonoContextLike, next: () => Promise<void>) => Promise<Response | undefined> {
  const inbound = new Inbound(options);
  return async (c, next) => {
    const node = nodeObjects(c.env);
    const context =
      node === undefined ? webContext(inbound, c.req.raw) : contextFor(inbound, node.incoming, node.outgoing);
    const passage = inbound.refusal(context, 'http');
    const refusal = passage instanceof Promise ? await passage : passage;
    if (refusal !== undefined) {
      if (refusal.reset === true && node !== undefined) answer(node.outgoing, refusal);
      const { status, headers, body } = refusalReply(refusal);
      return new Response(body, { status, headers: new Headers(pairs(headers)) });
    }
    addRequestHeaders(c, context);
    takeFromUrl(c, context, node?.incoming);
    try {
      await withAmbient(context, next);
      // Hono makes the response last: what was said before it may be lost.
      for (const [name, value] of pairs(context.replyHeaders ?? {})) c.header(name, value);
      if (context.takesPlace && isEventStream(c.res.headers.get('content-type'))) context.released();
    } finally {
      // No other server tells when the answer is out.
      if (node === undefined) {
        context.answered('http', c.res.status);
        inbound.handled(context);
      }
    }
    return undefined;
  };
}

/** For the handler to see. */
function addRequestHeaders(c: HonoContextLike, context: InboundContext): void {
  if (context.requestHeaders === undefined) return;
  const taken = Object.keys(context.requestHeaders);
  const added = pairs(context.requestHeaders);
  context.requestHeaders = undefined;
  const { raw } = c.req;
  try {
    change(raw.headers, taken, added);
  } catch {
    // The headers of a request that came in may be such as nobody can change (Fetch, the guard "immutable").
    const headers = new Headers(raw.headers);
    change(headers, taken, added);
    c.req.raw = new Request(raw, { headers });
    contexts.set(c.req.raw, context);
  }
}

/** The address of a request cannot be changed: there is another request with what is left of it. */
function takeFromUrl(c: HonoContextLike, context: InboundContext, incoming: InboundRequest | undefined): void {
  const { takenParams } = context;
  if (takenParams === undefined) return;
  if (incoming !== undefined) takeParams(incoming as IncomingMessage, takenParams);
  const { raw } = c.req;
  const url = otherParams(raw.url, takenParams);
  if (url === raw.url) return;
  const { method, headers, body, signal } = raw;
  c.req.raw = new Request(url, { method, headers, signal, ...(body !== null && { body, duplex: 'half' }) });
  contexts.set(c.req.raw, context);
}

/** Those that are named are replaced; one without a value is taken away. */
function change(headers: Headers, names: readonly string[], added: readonly (readonly [string, string])[]): void {
  for (const name of names) headers.delete(name);
  for (const [name, value] of added) headers.append(name, value);
}

/** Name and value, one pair for each value. */
const pairs = (fields: HeaderFields): [string, string][] =>
  Object.keys(fields).flatMap((name) =>
    [fields[name] as string | string[]].flat().map((value): [string, string] => [name, value]),
  );

interface NodeObjects {
  readonly incoming: InboundRequest;
  readonly outgoing: InboundResponse;
}

function nodeObjects(env: unknown): NodeObjects | undefined {
  const { incoming, outgoing } = (env ?? {}) as Partial<NodeObjects>;
  return incoming !== undefined && outgoing !== undefined ? { incoming, outgoing } : undefined;
}

/** Contexts of requests that come by another server than Node's: its signal tells when the caller goes away. */
const contexts = new WeakMap<Request, InboundContext>();

function webContext(inbound: Inbound, request: Request): InboundContext {
  let context = contexts.get(request);
  const headers: InboundHeaders = Object.fromEntries(request.headers);
  const view = (): WebView => new WebView(request);
  if (context !== undefined) inbound.join(context, headers, 'http', view);
  else {
    const made = inbound.context(headers, 'http', view);
    context = made;
    contexts.set(request, made);
    if (request.signal.aborted) made.callerGone();
    else request.signal.addEventListener('abort', () => made.callerGone(), { once: true });
  }
  return context;
}
