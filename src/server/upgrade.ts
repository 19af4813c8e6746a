import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { withAmbient } from '../core/ambient.js';
import type { Passage } from './gate.js';
import { Inbound, type InboundOptions } from './inbound.js';
import { refuseOn } from './socket-answer.js';
import { takeParams } from './taken-params.js';
import { Http1View } from './view.js';
import { replacing } from './xds/header-changes.js';
import { changeRequest } from './xds/http1-headers.js';

/** A listener for `upgrade` or `connect` of a node:http server. */
export type UpgradeListener<Q extends IncomingMessage> = (request: Q, socket: Duplex, head: Buffer) => void;

/**
 * For requests to use the connection for something else, as WebSockets do: node:http hands them to nobody's request handler, and so past every middleware.
 * One that is not to be let in is answered on its socket, with the 429 or 503 that others get; mesh calls made by the listener carry the request's trace,
 * priority and cancellation.
 *
 * ```ts
 * server.on('upgrade', meshUpgrade((req, socket, head) => webSockets.handleUpgrade(req, socket, head, …), options));
 * ```
 *
 * `options`: as the server's middleware has them, so that limits count both. A tunnel lasts as long as it likes: it takes no place of a server that sheds load
 * once it is let in. While one waits in line nobody reads from its socket: that its client has left is seen when its turn comes.
 */
export function meshUpgrade<Q extends IncomingMessage>(
  listener: UpgradeListener<Q>,
  options?: InboundOptions,
): UpgradeListener<Q> {
  const inbound = new Inbound(options);
  return (request, socket, head) => {
    const context = inbound.context(request.headers, 'http', () => new Http1View(request));
    context.connection = socket;
    const go = (refusal: Passage): void => {
      socket.off('error', ignore);
      if (refusal !== undefined) {
        context.over();
        refuseOn(socket, refusal);
        return;
      }
      inbound.withdrawn(context);
      if (context.requestHeaders !== undefined) changeRequest(request, replacing(context.requestHeaders));
      if (context.takenParams !== undefined) takeParams(request, context.takenParams);
      withAmbient(context, () => listener(request, socket, head));
    };
    socket.once('close', () => context.callerGone());
    // Nobody else listens yet, and a client may leave while its request waits.
    socket.on('error', ignore);
    const passage = inbound.refusal(context, 'http');
    if (passage instanceof Promise) void passage.then(go);
    else go(passage);
  };
}

const ignore = (): void => {};
