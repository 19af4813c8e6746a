import { CLUSTER, ENDPOINT, type ResourceType } from '../../core/resources.js';
import { serverKey, type XdsServer } from '../bootstrap/bootstrap.js';
import type { Arrivals } from './arrivals.js';
import type { CacheEntry } from './cache-entry.js';
import type { ServerSession } from './server-session.js';
import type { Sessions } from './sessions.js';
import type { Updates } from './updates.js';

/**
 * The servers that one authority's resources come from, in order of preference, and which of them are asked (gRFC A71). Asked are the first
 * and, when it cannot be reached and something is missing, the next; of those that are asked the last is in charge: its word counts, also
 * about what it does not have, until one before it delivers.
 */
export class Authority {
  readonly #servers: readonly XdsServer[];
  readonly #entries = new Set<CacheEntry>();
  /** The sessions in use, of the servers from the first on. */
  readonly #active: ServerSession[] = [];
  /** Somebody waits for any connection at all. Ends with the first. */
  #awaited = false;
  /** What came from a server that is not asked any more is to be asked for anew. */
  #renewing = false;

  constructor(
    /** Its key; undefined for that of old-style names. */
    private readonly name: string | undefined,
    servers: readonly XdsServer[],
    private readonly sessions: Sessions,
    private readonly updates: Updates,
    private readonly arrivals: Arrivals,
  ) {
    const byKey = new Map(servers.map((server) => [serverKey(server), server]));
    this.#servers = [...byKey.values()];
  }

  get entries(): ReadonlySet<CacheEntry> {
    return this.#entries;
  }

  isFirst(server: string): boolean {
    return server === serverKey(this.#servers[0] as XdsServer);
  }

  decides(session: ServerSession): boolean {
    return session === this.#active.at(-1);
  }

  /**
   * In charge, and not asked for a cluster that only another server's routes lead to: that it does not know it is no news before it has sent its
   * own routes ("Config tears happen when the client winds up using some combination of resources" - A71). Until then the wait goes on.
   */
  judges(session: ServerSession, entry: CacheEntry): boolean {
    if (!this.decides(session)) return false;
    const isForeign = entry.arrival?.server !== session.key;
    const isLedTo = entry.type === CLUSTER || entry.type === ENDPOINT;
    return !(isForeign && isLedTo && this.arrivals.hasForeignRoots(this.name, session.key));
  }

  /** Connects to a server although nothing is wanted yet; to the next one when the first cannot be reached. */
  connect(): void {
    this.#awaited = true;
    this.#first().connect();
  }

  connected(): void {
    this.#awaited = false;
  }

  add(entry: CacheEntry): void {
    if (this.#entries.has(entry)) return;
    this.#entries.add(entry);
    this.#first();
    for (const session of this.#active) session.subscribe(entry);
    const failure = this.#active.at(-1)?.failureOf(entry.type);
    if (failure !== undefined && !this.#fallBack()) this.#unreachable(entry, failure);
  }

  remove(entry: CacheEntry): void {
    if (!this.#entries.delete(entry)) return;
    this.updates.forget(entry);
    for (const session of this.#active) session.unsubscribe(entry);
    // Where nothing is wanted, nothing is fallen back for.
    if (this.#entries.size === 0) this.#close(1);
  }

  /** A connectivity error of a session, on streams that carry these types. */
  failed(session: ServerSession, types: ReadonlySet<ResourceType>, details: string): void {
    if (!this.decides(session) || this.#fallBack()) return;
    // "Resource watchers will only be notified of connectivity failures after all xDS control planes have become unreachable." - A71
    for (const entry of this.#entries) if (types.has(entry.type)) this.#unreachable(entry, details);
  }

  /** "Once such a resource is received, the XdsClient will close connections to the lower-priority server(s)" - A71 */
  delivered(session: ServerSession): void {
    const at = this.#active.indexOf(session);
    if (at < 0 || at === this.#active.length - 1) return;
    this.#close(at + 1);
    this.#renewing = true;
  }

  /** After a response was taken over: asks for what it did not bring and the server in charge has not sent, on all streams. */
  settle(): void {
    if (!this.#renewing) return;
    this.#renewing = false;
    const session = this.#active.at(-1);
    if (session === undefined) return;
    for (const entry of this.#entries) if (entry.arrival?.server !== session.key) session.renew(entry);
    session.flush();
  }

  release(): void {
    this.#close(0);
  }

  /** The session of the first server, opened when there is none. */
  #first(): ServerSession {
    return this.#active[0] ?? this.#open(0);
  }

  /** It is in charge now. What is waited for is the word of another, and its own time starts when it is asked (A57). */
  #open(index: number): ServerSession {
    const session = this.sessions.acquire(this.#servers[index] as XdsServer, this);
    this.#active.push(session);
    for (const entry of this.#entries) {
      this.updates.stopWaiting(entry);
      session.subscribe(entry);
    }
    return session;
  }

  /** True when another server is in charge now, of which nothing bad is known. */
  #fallBack(): boolean {
    const better = this.#active.find((session) => session.isReachable);
    const isLast = this.#active.length === this.#servers.length;
    if ((better === undefined && isLast) || !this.#isMissing()) return false;
    if (better !== undefined) {
      this.delivered(better);
      this.settle();
      return true;
    }
    while (this.#active.length < this.#servers.length) {
      const session = this.#open(this.#active.length);
      session.connect();
      session.flush();
      if (session.isReachable) return true;
    }
    return false;
  }

  /** "At least one watcher exists for a resource that is not cached." - A71 */
  #isMissing(): boolean {
    if (this.#awaited) return true;
    for (const entry of this.#entries) if (!entry.isCached) return true;
    return false;
  }

  /** Closes the sessions from this one on, and ends the wait for their word. */
  #close(from: number): void {
    for (const session of this.#active.splice(from)) {
      for (const entry of this.#entries) {
        session.unsubscribe(entry);
        this.updates.stopWaiting(entry);
      }
      this.sessions.release(session, this);
      session.flush();
    }
  }

  #unreachable(entry: CacheEntry, details: string): void {
    const uri = this.#active.at(-1)?.uri ?? '';
    this.updates.unreachable(entry, `control plane ${uri}: ${details}`);
  }
}
