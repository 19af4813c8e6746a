import { ConfigUnavailableError, type MeshError } from './errors.js';
import type { Address } from './model/endpoint.js';
import type { RouteConfiguration } from './model/route.js';
import type { ServerListener } from './model/server.js';

/**
 * All that a server needs at one moment. Complete: whatever route configuration a chain names is in `routes`, or the reason why there is
 * none. Frozen. A listener that did not change is the same object as before.
 */
export interface ServerConfig {
  readonly listener: ServerListener;
  /** By name, or by `key` where the source has one. */
  readonly routes: ReadonlyMap<string, RouteConfiguration | MeshError>;
  /** The server goes by the name of a service, and there is no such: what says so. Absent: there is, or nobody knows. */
  readonly noService?: string | undefined;
}

/** What a server is told of its configuration: three callbacks for three meanings, as `ConfigWatcher` (config-source.ts) has them. */
export interface ServerConfigWatcher {
  /** Replaces the one before. */
  changed(config: ServerConfig): void;
  /** There is none, and one from before is void. */
  failed(error: MeshError): void;
  /** Trouble, but the last configuration stands. */
  ambient(error: MeshError): void;
}

/**
 * A server by the address that it listens on (gRFC A36), or by a name of the service that it is, wherever it listens: the Listener `inmesh.dev/inbound/<name>`,
 * which holds the policies for requests that come in. There may be none of that name: then it is the one for the whole mesh, or one that asks nothing of them.
 */
export type ServerKey =
  | Address
  | {
      readonly service: string;
      /** False: nobody has said that the server is of it, but that the process is. Default true. */
      readonly named?: boolean;
    };

/** Watches the configuration of a server until the result is called. May call back before it returns. */
export type WatchServer = (server: ServerKey, watcher: ServerConfigWatcher) => () => void;

/** There is nobody who could configure servers, now or later: who asks nothing of requests in that case may go by it. */
export class NoServerConfigError extends ConfigUnavailableError {}
