import { enter, type InboundRequest, type InboundResponse } from './http.js';
import { Inbound, type InboundOptions } from './inbound.js';

export type { InboundOptions } from './inbound.js';

/**
 * Middleware for Express, Connect and whatever else calls `(request, response, next)`: mesh calls made by later handlers carry the
 * request's trace, deadline, priority and cancellation.
 *
 * ```ts
 * app.use(meshMiddleware({ mesh }));
 * ```
 *
 * Mount it first. A body parser that loses asynchronous context (Express's own does not) can be followed by the same one once more, which then also looks again
 * whether the caller still waits, when the body has been long in coming.
 */
export function meshMiddleware(
  options?: InboundOptions,
): (request: InboundRequest, response: InboundResponse, next: () => void) => void {
  const inbound = new Inbound(options);
  return (request, response, next) => void enter(inbound, request, response, next);
}
