import type { Logger } from '../../core/log.js';
import { type Address, addressKey } from '../../core/model/endpoint.js';
import { ConfigUnavailableError } from '../../core/errors.js';
import { INBOUND_PREFIX, MESH_INBOUND } from '../../core/resources.js';
import type { ServerConfig, ServerKey, WatchServer } from '../../core/server-config.js';
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
  const missing = new Missing(logger);
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
      { address, listenerName: name, cache, fallback: address === undefined ? MESH_INBOUND : undefined },
      {
        changed: (config) => {
          if ('service' in server) missing.look(server, config);
          guarded(logger, () => watcher.changed(config));
        },
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

/** Tells of services that servers go by and that are not there: once, and again when one goes that was there. */
class Missing {
  readonly #told = new Set<string>();

  constructor(private readonly logger: Logger) {}

  look({ service, named }: Exclude<ServerKey, Address>, { listener, noService }: ServerConfig): void {
    const isHeld = listener.name === MESH_INBOUND;
    if (!isHeld && noService === undefined) {
      this.#told.delete(service);
      return;
    }
    if (this.#told.has(service)) return;
    this.#told.add(service);
    // A process that calls others has a name, too, and need not be a Service.
    const say = isHeld || named !== false ? this.logger.warn : this.logger.info;
    const itsServers = isHeld ? 'are held to what is said for the whole mesh' : 'are asked nothing';
    say.call(this.logger, noService ?? `no Service "${service}"`, { service, itsServers });
  }
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
