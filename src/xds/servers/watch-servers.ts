import type { Logger } from '../../core/log.js';
import { addressKey } from '../../core/model/endpoint.js';
import { ConfigUnavailableError } from '../../core/errors.js';
import { INBOUND_PREFIX } from '../../core/resources.js';
import type { WatchServer } from '../../core/server-config.js';
import { type Caches, leases, SERVERS } from '../resource-cache.js';
import { ServerTracker } from './server-tracker.js';

export interface WatchServersOptions {
  /** Decoded resources. For caches by target all servers are one, kept as long as there are any (gRFC A71). */
  readonly cache: Caches;
  /** Name of the Listener for an address as listened on (`host:port`); undefined: the bootstrap has no template for servers. */
  readonly listenerName: (address: string) => string | undefined;
  readonly logger: Logger;
}

/** Watches the configuration of servers, one watch for each call, until its result is called. */
export function watchServers({ cache: caches, listenerName, logger }: WatchServersOptions): WatchServer {
  const lease = leases(caches);
  return (server, watcher) => {
    const address = 'service' in server ? undefined : server;
    const name = 'service' in server ? `${INBOUND_PREFIX}${server.service}` : listenerName(addressKey(server));
    if (name === undefined) {
      // "if it is not present in the bootstrap then server creation or start will fail or the XdsServer will become "not serving"" - A36
      guarded(logger, () => watcher.failed(new ConfigUnavailableError(NO_TEMPLATE)));
      return () => {};
    }
    const { cache, release } = lease(SERVERS);
    const tracker = new ServerTracker(
      { address, listenerName: name, cache },
      {
        changed: (config) => guarded(logger, () => watcher.changed(config)),
        failed: (error) => guarded(logger, () => watcher.failed(error)),
        ambient: (error) => guarded(logger, () => watcher.ambient(error)),
      },
    );
    tracker.start();
    return () => {
      tracker.close();
      release();
    };
  };
}

const NO_TEMPLATE =
  'the bootstrap has no server_listener_resource_name_template: add one, e.g. "grpc/server?xds.resource.listening_address=%s"';

/** What a server does with its configuration must not keep others from theirs. */
function guarded(logger: Logger, tell: () => void): void {
  try {
    tell();
  } catch (error) {
    logger.error('a server failed to take over its configuration', { error: String(error) });
  }
}
