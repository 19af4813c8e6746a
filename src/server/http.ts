import { withAmbient } from '../core/ambient.js';
import { systemClock } from '../core/clock.js';
import { type InboundContext, type InboundHeaders, type InboundOptions, inboundContext } from './context.js';
import { type ReportingResponse, reportInHead } from './orca/http.js';
import { loadReporting } from './orca/reporting.js';

/** As much of a request as is read: node:http, node:http2 and all frameworks on top of them have it. */
export interface InboundRequest {
  readonly headers: InboundHeaders;
}

/** As much of a response as is watched, or written to. */
export interface InboundResponse extends ReportingResponse {
  readonly writableFinished: boolean;
}

/** Contexts by request, so that a middleware that is mounted twice, or again after a body parser, goes on with the same one. */
const contexts = new WeakMap<InboundRequest, InboundContext>();

/** The context of a request, made at the first time of asking. */
export function contextFor(
  request: InboundRequest,
  response: InboundResponse,
  options: InboundOptions = {},
): InboundContext {
  let context = contexts.get(request);
  if (context === undefined) {
    const made = inboundContext(request.headers, options.clock ?? systemClock);
    context = made;
    contexts.set(request, made);
    response.once('close', () => {
      if (!response.writableFinished) made.callerGone();
    });
    const reporting = loadReporting(options.orca);
    if (reporting !== undefined) made.metrics = reportInHead(response, reporting);
  }
  return context;
}

/**
 * A node:http or node:http2 request handler whose mesh calls carry the request's trace, deadline and cancellation.
 *
 * ```ts
 * createServer(meshHandler(async (req, res) => { const reply = await mesh.fetch('http://ratings/7'); … }));
 * ```
 */
export function meshHandler<Q extends InboundRequest, S extends InboundResponse, R>(
  handler: (request: Q, response: S) => R,
  options?: InboundOptions,
): (request: Q, response: S) => R {
  return (request, response) => withAmbient(contextFor(request, response, options), () => handler(request, response));
}
