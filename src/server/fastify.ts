import { withAmbient } from '../core/ambient.js';
import type { InboundOptions } from './context.js';
import { contextFor, type InboundRequest, type InboundResponse } from './http.js';

export type { InboundOptions } from './context.js';

type Hook = (
  request: { readonly raw: InboundRequest },
  reply: { readonly raw: InboundResponse },
  done: () => void,
) => void;

/** As much of a Fastify 5 instance as the plugin uses. */
export interface FastifyInstanceLike {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook): unknown;
}

function plugin(fastify: FastifyInstanceLike, options: InboundOptions, done: () => void): void {
  const enter: Hook = (request, reply, next) => withAmbient(contextFor(request.raw, reply.raw, options), next);
  fastify.addHook('onRequest', enter);
  // Again once the body is there: it is parsed in events of the socket, outside of what the first hook entered.
  fastify.addHook('preValidation', enter);
  done();
}

/**
 * Fastify plugin: mesh calls made by handlers carry the request's trace, deadline and cancellation.
 *
 * ```ts
 * await app.register(meshPlugin);
 * ```
 */
export const meshPlugin = Object.assign(plugin, {
  // What fastify-plugin sets: the hooks are for the whole instance, not for an encapsulated one; Fastify 5.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'inmesh',
  [Symbol.for('plugin-meta')]: { name: 'inmesh', fastify: '5.x' },
});
