import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import type { RouteConfiguration } from '../../src/core/model/route.js';
import type { ServerListener } from '../../src/core/model/server.js';
import { systemRandom } from '../../src/core/random.js';
import { INBOUND_PREFIX } from '../../src/core/resources.js';
import { meshHandler } from '../../src/server/http.js';
import type { ServerParts } from '../../src/server/parts.js';
import { listener } from '../server/xds/support.js';
import { listening } from './inbound-servers.js';

/** A server whose middleware is told of this listener of its service. Resolves with its port. */
export async function behindMiddleware(
  fields: Partial<ServerListener>,
  routes: ReadonlyMap<string, RouteConfiguration>,
  closing: (() => unknown)[],
): Promise<number> {
  const served = listener({ host: '0.0.0.0', port: 80 }, { name: `${INBOUND_PREFIX}reviews`, ...fields });
  const servers = {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    limits: undefined,
    service: 'reviews',
    onClose() {},
    watch(_: unknown, watcher: Parameters<ServerParts['watch']>[1]) {
      queueMicrotask(() => watcher.changed({ listener: served, routes }));
      return () => {};
    },
  } as unknown as ServerParts;
  const handler = (_: IncomingMessage, response: ServerResponse): void => void response.end('served');
  const { port, close } = await listening(
    meshHandler(handler, { mesh: { meter: noMeter, servers }, service: 'reviews' }),
  );
  closing.push(close);
  return port;
}
