import type { Clock } from '../../core/clock.js';
import { MeshClosedError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import { LISTENER, type ResourcesDump, type ResourceType, type ResourceWatcher } from '../../core/resources.js';
import type { Bootstrap } from '../bootstrap/bootstrap.js';
import type { ResourceCache } from '../resource-cache.js';
import { Authority } from './authority.js';
import { Cache, guarded } from './cache.js';
import type { CacheEntry } from './cache-entry.js';
import { guardedMeter, type XdsMeter } from './events.js';
import { grpcTransport } from './grpc-transport.js';
import { offerResources } from './metrics.js';
import { canonicalName, parseResourceName, type ResourceName } from './names.js';
import { Ready } from './ready.js';
import { BootstrapConnections } from './server-connections.js';
import type { ServerSession, SessionOwner } from './server-session.js';
import { Sessions } from './sessions.js';
import type { ServerConnections, TransportFactory } from './transport.js';
import type { ResourceDecoder } from './unpack.js';
import { Updates } from './updates.js';

export interface XdsClientOptions {
  readonly bootstrap: Pick<Bootstrap, 'servers' | 'authorities' | 'node'>;
  readonly decoders: Readonly<Record<ResourceType, ResourceDecoder>>;
  /** `client_scope` in dumps: what the client is for (gRFC A71). */
  readonly scope: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: XdsMeter;
  /** How servers are reached. Default: grpc-js, loaded at the first watch. */
  readonly transport?: TransportFactory;
  /** Connections that are shared with others, which `transport` made. Default: its own. */
  readonly connections?: ServerConnections;
  /**
   * Whether a destination, by the name of its Listener, goes on to be called when the control plane has deleted it ("we will ignore all data errors by default",
   * gRFC A88). Absent: all do. `reconsiderDeleted` when it would say otherwise of those that have.
   */
  readonly outlives?: ((listener: string) => boolean) | undefined;
}

/** An authority in use, and the end of what is measured of it. */
interface KnownAuthority {
  readonly authority: Authority;
  readonly stop: () => void;
}

/**
 * The xDS client: all four variants of the protocol (Envoy, xds_protocol.rst), several servers with fallback (gRFC A71) and several
 * authorities (A47). Keeps the last good version of what is watched, and goes on with it when every server is gone. Knows nothing of what
 * resources mean.
 *
 * What nobody watches any more is unsubscribed. The stream to the first of the bootstrap's own servers stays open even when nothing is
 * watched, as long as the client is: the next call wants it again. Those of other authorities go with their last resource.
 */
export class XdsClient implements ResourceCache {
  /** For load reports: streams of another kind to the same servers. */
  readonly connections: ServerConnections;
  readonly #cache: Cache;
  readonly #updates: Updates;
  readonly #sessions: Sessions;
  readonly #authorities = new Map<string | undefined, KnownAuthority>();
  readonly #ready = new Ready();
  readonly #meter: XdsMeter;
  #settling = false;
  #closed = false;

  constructor(private readonly options: XdsClientOptions) {
    const { bootstrap, clock, logger, outlives, transport = grpcTransport(options) } = options;
    this.connections = options.connections ?? new BootstrapConnections(bootstrap, transport);
    this.#meter = guardedMeter(options.meter, logger);
    this.#cache = new Cache(logger, outlives);
    this.#updates = new Updates(this.#cache, { nodeId: String(bootstrap.node['id']), clock });
    const parts = {
      ...options,
      meter: this.#meter,
      connections: this.connections,
      node: bootstrap.node,
      cache: this.#cache,
      updates: this.#updates,
    };
    this.#sessions = new Sessions(parts, this.#owner());
  }

  /** Resolves when the first connection to a server stands; rejects when `close` comes before. Opens one if need be. */
  ready(): Promise<void> {
    if (!this.#closed && !this.#ready.isSettled) this.#authority(undefined)?.connect();
    return this.#ready.promise;
  }

  /** What was deleted, and may not be gone on with any more, goes. */
  reconsiderDeleted(): void {
    for (const entry of this.#cache.all(LISTENER)) entry.reconsiderDeleted(this.options.clock.wallTime());
  }

  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void {
    const { logger, bootstrap } = this.options;
    const refuse = (...why: Parameters<ResourceWatcher['failed']>): (() => void) => {
      guarded(watcher, logger).failed(...why);
      return () => {};
    };
    if (this.#closed) return refuse(new MeshClosedError(), 'unreachable');
    let parsed: ResourceName;
    try {
      parsed = parseResourceName(type, name);
    } catch (error) {
      return refuse(error as Error, 'invalid');
    }
    const { authority } = parsed;
    // "it is an error if the specified authority is not present in this map" - A47
    if (authority !== undefined && !bootstrap.authorities.has(authority)) {
      const known = [...bootstrap.authorities.keys()].map((key) => JSON.stringify(key)).join(', ') || 'none';
      const problem = `the bootstrap has no authority "${authority}", but: ${known}`;
      return refuse(new Error(`resource name "${name}": ${problem}`), 'invalid');
    }
    const stop = this.#cache.watch(type, parsed.name, authority, watcher);
    this.#settleSoon();
    return () => {
      stop();
      this.#settleSoon();
    };
  }

  /** Whether the value comes from a server that stands in for the first one of its authority (gRFC A71). */
  isFromStandIn(type: ResourceType, name: string): boolean {
    const entry = this.#cache.get(type, canonicalName(type, name));
    if (entry?.arrival === undefined) return false;
    return this.#authorities.get(entry.authority)?.authority.isFirst(entry.arrival.server) === false;
  }

  /** Servers that could not be reached are tried again now. */
  resetBackoff(): void {
    this.#sessions.resetBackoff();
  }

  /** What is cached, for people and tools. */
  dump(): ResourcesDump {
    const { bootstrap, scope } = this.options;
    return { node: bootstrap.node, scope, resources: this.#cache.dump() };
  }

  /** Ends every stream, every watch and every timer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#sessions.close();
    for (const { stop } of this.#authorities.values()) stop();
    this.#authorities.clear();
    this.#cache.close();
    this.#ready.fail(new MeshClosedError());
  }

  /** Names come and go many at a time: servers are told once, after the caller is done. */
  #settleSoon(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    queueMicrotask(() => {
      if (this.#closed) return;
      this.#settle();
      this.#sessions.flush();
    });
  }

  #settle(): void {
    this.#settling = false;
    this.#cache.settle((entry, wanted) => {
      const authority = this.#authority(entry.authority);
      if (wanted) authority?.add(entry);
      else authority?.remove(entry);
      this.#releaseIdle(entry);
    });
    for (const { authority } of this.#authorities.values()) authority.settle();
  }

  /** The state of an authority, from its first use on; undefined when the bootstrap has none of the name. */
  #authority(name: string | undefined): Authority | undefined {
    const known = this.#authorities.get(name);
    if (known !== undefined) return known.authority;
    const { bootstrap, scope } = this.options;
    const servers = name === undefined ? bootstrap.servers : bootstrap.authorities.get(name)?.servers;
    if (servers === undefined) return undefined;
    const authority = new Authority(name, servers, this.#sessions, this.#updates, this.#cache.arrivals);
    this.#authorities.set(name, { authority, stop: offerResources(this.#meter, scope, name, authority.entries) });
    return authority;
  }

  #releaseIdle({ authority: name }: CacheEntry): void {
    const known = this.#authorities.get(name);
    if (name === undefined || known === undefined || known.authority.entries.size > 0) return;
    this.#authorities.delete(name);
    known.stop();
    known.authority.release();
  }

  #owner(): SessionOwner {
    return {
      connected: () => {
        for (const { authority } of this.#authorities.values()) authority.connected();
        this.#ready.succeed();
      },
      failed: (session, types, details) => {
        for (const { authority } of this.#authorities.values()) authority.failed(session, types, details);
      },
      decides: (session, entry) => this.#authorities.get(entry.authority)?.authority.decides(session) ?? false,
      judges: (session, entry) => this.#authorities.get(entry.authority)?.authority.judges(session, entry) ?? false,
      delivered: (session, entry, before) => this.#delivered(session, entry, before),
      settle: () => {
        if (!this.#closed) this.#settle();
      },
    };
  }

  #delivered(session: ServerSession, entry: CacheEntry, before: string | undefined): void {
    this.#authorities.get(entry.authority)?.authority.delivered(session);
    // The version that the other server knows of us speaks of a resource that we have no more.
    if (before !== undefined && before !== session.key) this.#sessions.get(before)?.forget(entry.type);
  }
}
