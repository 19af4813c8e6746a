import { withAmbient } from '../core/ambient.js';
import type { InboundOptions } from './context.js';
import { contextFor, type InboundRequest, type InboundResponse } from './http.js';

export type { InboundOptions } from './context.js';

/**
 * Middleware for Express, Connect and whatever else calls `(request, response, next)`: mesh calls made by later handlers carry the
 * request's trace, deadline and cancellation.
 *
 * ```ts
 * app.use(meshMiddleware());
 * ```
 *
 * Mount it first. A body parser that loses asynchronous context (Express's own does not) can be followed by a second one.
 */
export const meshMiddleware =
  (options?: InboundOptions) =>
  (request: InboundRequest, response: InboundResponse, next: () => void): void =>
    withAmbient(contextFor(request, response, options), next);
