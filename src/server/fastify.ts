import { withAmbient } from '../core/ambient.js';
import type { Passage } from './gate.js';
import { answer, contextFor, type InboundRequest, type InboundResponse, letIn } from './http.js';
import { Inbound, type InboundOptions } from './inbound.js';
import { refusalReply } from './refusal.js';
import { takeParsed } from './taken-params.js';

export type { InboundOptions } from './inbound.js';

/** As much of a reply as is written to. */
interface Reply {
  readonly raw: InboundResponse;
  code(status: number): unknown;
  headers(values: Readonly<Record<string, string | string[]>>): unknown;
  send(body: string | Uint8Array): unknown;
}

type Hook = (
  request: { readonly raw: InboundRequest; readonly query?: unknown },
  reply: Reply,
  done: () => void,
) => void;

/** As much of a Fastify 5 instance as the plugin uses. */
export interface FastifyInstanceLike {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook): unknown;
}

function plugin(fastify: FastifyInstanceLike, given: InboundOptions, done: () => void): void {
  // What `register` takes for itself comes along.
  const {
    prefix: _,
    logLevel: __,
    logSerializers: ___,
    ...options
  } = given as InboundOptions & Record<string, unknown>;
  const inbound = new Inbound(options);
  const enter: Hook = (request, reply, next) => {
    const context = contextFor(inbound, request.raw, reply.raw);
    const go = (refusal: Passage): void => {
      if (refusal === undefined) {
        letIn(request.raw, reply.raw, context);
        // Fastify has read it before the first hook.
        if (context.takenParams !== undefined) takeParsed(request.query, context.takenParams);
        withAmbient(context, next);
        return;
      }
      if (refusal.reset === true) return answer(reply.raw, refusal);
      // Through Fastify, which has hooks of its own for what is answered.
      const { status, headers, body } = refusalReply(refusal);
      reply.code(status);
      reply.headers(headers);
      reply.send(body);
    };
    const passage = inbound.refusal(context, 'http');
    if (passage instanceof Promise) void passage.then(go);
    else go(passage);
  };
  fastify.addHook('onRequest', enter);
  // Again once the body is there: it is parsed in events of the socket, outside of what the first hook entered, and may have been long in coming.
  fastify.addHook('preValidation', enter);
  done();
}

/**
 * Fastify plugin: mesh calls made by handlers carry the request's trace, deadline, priority and cancellation.
 *
 * ```ts
 * await app.register(meshPlugin, { mesh });
 * ```
 */
export const meshPlugin = Object.assign(plugin, {
  // What fastify-plugin sets: the hooks are for the whole instance, not for an encapsulated one; Fastify 5.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'inmesh',
  [Symbol.for('plugin-meta')]: { name: 'inmesh', fastify: '5.x' },
});
