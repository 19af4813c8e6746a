import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import { sameTls, type UpstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import type { Transport } from '../../core/transport.js';
import type { EndpointHealth } from '../endpoints/health.js';
import { Pace } from './pace.js';
import { type WatchOwner, WatchSession } from './watch-session.js';

/** What of an endpoint is asked, and told. */
export interface WatchedEndpoint {
  readonly key: string;
  readonly config: EndpointConfig;
  readonly health: Pick<EndpointHealth, 'watched'>;
}

export interface HealthWatchEnv<E extends WatchedEndpoint> {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: Pick<Meter, 'event'>;
  /** The HTTP/2 transport that the endpoint's calls go by: its health is that of these connections. */
  readonly transportOf: (endpoint: E) => Transport;
}

/** What of a cluster the watch goes by. */
export interface WatchedCluster {
  readonly name: string;
  readonly tls?: UpstreamTls | undefined;
}

interface Entry<E> {
  endpoint: E;
  session: WatchSession;
  /** What its health was told last. */
  serving: boolean | undefined;
  /** Number of the last update that had it. */
  seenIn: number;
}

/**
 * Client-side health checking of gRPC (A17): each endpoint is asked by `grpc.health.v1.Health/Watch` to say when it serves, over the connections of
 * its calls. Connections are opened for it: an endpoint whose health is to be known beforehand has one, as with round robin in gRPC.
 *
 * "the client will wait for the initial health-checking response" - A17: so it is with endpoints that come while others serve. While none is known to
 * serve, all are used.
 */
export class HealthWatch<E extends WatchedEndpoint> {
  #service: string;
  #cluster: WatchedCluster;
  readonly #entries = new Map<string, Entry<E>>();
  /** Of endpoints, so far. */
  #updates = 0;
  readonly #pace: Pace;

  constructor(
    service: string,
    cluster: WatchedCluster,
    private readonly env: HealthWatchEnv<E>,
  ) {
    this.#service = service;
    this.#cluster = cluster;
    this.#pace = new Pace(env.clock);
  }

  /** The endpoints from now on. One that is the same object is asked on, another one of its key is asked anew. */
  update(endpoints: Iterable<E>): void {
    const now = this.env.clock.now();
    const update = ++this.#updates;
    const newcomers: E[] = [];
    let present = 0;
    for (const endpoint of endpoints) {
      const entry = this.#entries.get(endpoint.key);
      if (entry === undefined) {
        newcomers.push(endpoint);
        continue;
      }
      if (entry.seenIn !== update) present++;
      entry.seenIn = update;
      if (entry.endpoint === endpoint) continue;
      entry.session.close();
      entry.endpoint = endpoint;
      endpoint.health.watched(entry.serving, now);
      this.#begin(entry);
    }
    if (present < this.#entries.size) this.#removeOthers(update);
    const serving = newcomers.length > 0 && this.#serving();
    for (const endpoint of newcomers) {
      // Two of one key are one endpoint.
      if (this.#entries.has(endpoint.key)) continue;
      const entry: Entry<E> = { endpoint, session: this.#session(endpoint), serving: undefined, seenIn: update };
      this.#entries.set(endpoint.key, entry);
      if (serving) this.#tell(entry, false);
      entry.session.start();
    }
  }

  #removeOthers(update: number): void {
    for (const [key, { session, seenIn }] of this.#entries) {
      if (seenIn === update) continue;
      session.close();
      this.#entries.delete(key);
    }
  }

  configure(service: string, cluster: WatchedCluster): void {
    const { name, tls } = this.#cluster;
    const same = service === this.#service && cluster.name === name && sameTls(cluster.tls, tls);
    this.#service = service;
    this.#cluster = cluster;
    if (same) return;
    for (const entry of this.#entries.values()) {
      entry.session.close();
      this.#begin(entry);
    }
  }

  /** Health says nothing of the watch any more. */
  close(): void {
    for (const entry of this.#entries.values()) {
      entry.session.close();
      this.#tell(entry, undefined);
    }
    this.#entries.clear();
    this.#pace.close();
  }

  #begin(entry: Entry<E>): void {
    entry.session = this.#session(entry.endpoint);
    entry.session.start();
  }

  #session(endpoint: E): WatchSession {
    const { clock, random, transportOf } = this.env;
    const owner: WatchOwner = {
      transport: () => transportOf(endpoint),
      serving: (serving, why) => this.#heard(endpoint, serving, why),
      unimplemented: () => this.#unimplemented(endpoint),
    };
    const request = {
      method: 'Watch',
      service: this.#service,
      authority: endpoint.config.hostname ?? this.#cluster.name,
      scheme: this.#cluster.tls === undefined ? 'http' : 'https',
      timeoutMs: undefined,
    } as const;
    return new WatchSession(request, owner, { clock, random, pace: this.#pace });
  }

  #heard(endpoint: E, serving: boolean, why: string): void {
    const entry = this.#entries.get(endpoint.key);
    if (entry === undefined) return;
    const before = entry.serving;
    const first = before === undefined;
    this.#tell(entry, serving);
    if (before === serving || (first && serving)) return;
    const { name } = this.#cluster;
    const fields = { cluster_name: name, host: endpoint.key, service: this.#service, detail: why };
    if (serving) this.env.logger.info('endpoint serves', fields);
    else this.env.logger.warn('endpoint does not serve', fields);
    this.env.meter.event({
      kind: 'health:changed',
      cluster: name,
      endpoint: endpoint.key,
      by: 'watch',
      healthy: serving,
    });
  }

  /** "the client will act as if health checking is disabled ... It will also log a message at priority ERROR." - A17 */
  #unimplemented(endpoint: E): void {
    const entry = this.#entries.get(endpoint.key);
    if (entry !== undefined) this.#tell(entry, true);
    this.env.logger.error('endpoint has no grpc.health.v1.Health/Watch: it counts as healthy (healthCheckConfig)', {
      cluster_name: this.#cluster.name,
      host: endpoint.key,
    });
  }

  #tell(entry: Entry<E>, serving: boolean | undefined): void {
    if (entry.serving === serving) return;
    entry.serving = serving;
    entry.endpoint.health.watched(serving, this.env.clock.now());
  }

  #serving(): boolean {
    for (const { serving } of this.#entries.values()) if (serving === true) return true;
    return false;
  }
}
