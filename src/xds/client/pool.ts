import type { Meter } from '../../core/meter.js';
import type { ResourcesDump, ResourceType, ResourceWatcher } from '../../core/resources.js';
import { type Bootstrap, serverKey, type XdsServer } from '../bootstrap/bootstrap.js';
import type { CacheLease, ResourceCache } from '../resource-cache.js';
import { joinConnections } from './events.js';
import { grpcTransport } from './grpc-transport.js';
import { BootstrapConnections } from './server-connections.js';
import type { ServerConnections } from './transport.js';
import { XdsClient, type XdsClientOptions } from './xds-client.js';

/** `client_scope` of the client that all targets share. */
export const SHARED_SCOPE = '#client';

export type XdsClientPoolOptions = Omit<XdsClientOptions, 'scope' | 'connections'>;

interface Entry {
  readonly client: XdsClient;
  users: number;
}

/**
 * The XdsClients of a process: "a map of instances keyed by channel target" (gRFC A71), so that a target which needs what the first server
 * cannot give goes over to the next one alone. Where no list of the bootstrap has a second server there is nothing to go over to, and all
 * share one client, one stream and one cache. Either way connections are shared: one for each server.
 */
export class XdsClientPool {
  /** For load reports: streams of another kind to the same servers. */
  readonly connections: ServerConnections;
  readonly #perTarget: boolean;
  readonly #meter: Pick<Meter, 'gauge' | 'event'>;
  readonly #clients = new Map<string, Entry>();
  /** Holds a connection until a target does: for who asks for the first contact before any call. */
  #contact: (() => void) | undefined;
  #closed = false;

  constructor(private readonly options: XdsClientPoolOptions) {
    const { bootstrap, transport = grpcTransport(options) } = options;
    this.connections = new BootstrapConnections(bootstrap, transport);
    this.#perTarget = hasFallback(bootstrap);
    this.#meter = joinConnections(options.meter);
  }

  /** The cache for one target; servers are one as well. The client behind it goes with the last lease of it. */
  lease(target: string): CacheLease {
    if (!this.#perTarget) return { cache: this.#entry(SHARED_SCOPE).client, release() {} };
    const { client, release } = this.#acquire(target);
    this.#leaveContact(client);
    return { cache: scoped(client, target), release };
  }

  /** Resolves when a connection to a server stands; rejects when `close` comes before. Opens one if need be. */
  ready(): Promise<void> {
    if (!this.#perTarget) return this.#entry(SHARED_SCOPE).client.ready();
    const [any] = this.#clients.values();
    if (any !== undefined) return any.client.ready();
    const { client, release } = this.#acquire(SHARED_SCOPE);
    this.#contact = release;
    return client.ready();
  }

  /** What kept servers from being reached may be gone, as that there was no certificate to reach them with: they are tried again now. */
  resetBackoff(): void {
    for (const { client } of this.#clients.values()) client.resetBackoff();
  }

  /** `XdsClient.reconsiderDeleted` */
  reconsiderDeleted(): void {
    for (const { client } of this.#clients.values()) client.reconsiderDeleted();
  }

  /** Of each client, by its scope. */
  dump(): readonly ResourcesDump[] {
    return [...this.#clients.values()].map(({ client }) => client.dump());
  }

  async close(): Promise<void> {
    this.#closed = true;
    const clients = [...this.#clients.values()];
    this.#clients.clear();
    await Promise.all(clients.map(({ client }) => client.close()));
  }

  #acquire(scope: string): { readonly client: XdsClient; readonly release: () => void } {
    const entry = this.#entry(scope);
    entry.users++;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      if (--entry.users > 0 || this.#clients.get(scope) !== entry) return;
      this.#clients.delete(scope);
      void entry.client.close();
    };
    return { client: entry.client, release };
  }

  #entry(scope: string): Entry {
    const known = this.#clients.get(scope);
    if (known !== undefined) return known;
    const client = new XdsClient({ ...this.options, meter: this.#meter, connections: this.connections, scope });
    const entry: Entry = { client, users: 0 };
    // One that is closed says so to whoever watches.
    if (this.#closed) void client.close();
    else this.#clients.set(scope, entry);
    return entry;
  }

  /** The connection is the target's to hold from its first contact on. */
  #leaveContact(client: XdsClient): void {
    const leave = this.#contact;
    if (leave === undefined) return;
    this.#contact = undefined;
    client.ready().then(leave, leave);
  }
}

/** What a server that stands in for the first one says is the target's alone. */
function scoped(client: XdsClient, target: string): ResourceCache {
  return {
    watch: (type: ResourceType, name: string, watcher: ResourceWatcher) => client.watch(type, name, watcher),
    scopeOf: (type, name) => (client.isFromStandIn(type, name) ? target : undefined),
  };
}

function hasFallback({ servers, authorities }: Pick<Bootstrap, 'servers' | 'authorities'>): boolean {
  const lists: (readonly XdsServer[])[] = [servers, ...[...authorities.values()].map((each) => each.servers)];
  return lists.some((list) => new Set(list.map(serverKey)).size > 1);
}
