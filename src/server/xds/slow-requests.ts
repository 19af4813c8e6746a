import type { Server } from 'node:http';
import type { Logger } from '../../core/log.js';

/** How many have asked for it, by server: one may be served at several addresses. */
const watched = new WeakMap<Server, number>();
/** Those whose slow requests are being watched for; Node ends that when a server is closed. */
const running = new WeakSet<Server>();

/** node:http's own listener for `listening`, which starts what enforces `headersTimeout` and `requestTimeout` (lib/_http_server.js). */
const STARTER = 'setupConnectionsTracking';

/**
 * Node cuts off slow requests on a server that listens; one that is handed its connections never does, so that is started here. Returns
 * how to end it.
 */
export function watchSlowRequests(server: Server, logger: Logger): () => void {
  const others = watched.get(server) ?? 0;
  watched.set(server, others + 1);
  if (others === 0 && !server.listening) {
    const start = server.listeners('listening').find(({ name }) => name === STARTER);
    if (start === undefined) {
      logger.warn(
        'this version of Node cannot be told to watch for slow requests: headersTimeout and requestTimeout are not enforced',
      );
    } else {
      Reflect.apply(start, server, []);
      running.add(server);
      server.once('close', () => running.delete(server));
    }
  }
  return () => {
    const left = (watched.get(server) ?? 1) - 1;
    watched.set(server, left);
    // There is no port to close, but Node's interval ends with it.
    if (left === 0 && running.has(server) && !server.listening) server.close();
  };
}
