import type { Call } from '../core/call.js';
import { outsideOfCalls } from '../core/context.js';
import { MeshClosedError } from '../core/errors.js';
import { dataPlaneAuthority, formatXdsTarget, parseXdsTarget } from '../core/xds-target.js';
import { type Service, stack } from '../core/service.js';
import { Destination } from './destination.js';
import { ClusterRegistry } from './endpoints/registry.js';
import type { ClientEnv } from './env.js';
import type { HoldingSource } from './holding-source.js';
import { KeptClusters } from './kept-clusters.js';
import { type PassthroughOptions, passthrough, splitAuthority } from './passthrough.js';
import { type PinnedTo, pinned } from './pinned.js';
import { callFilters } from './stack.js';

/** Destinations kept at once; the one unused for longest makes room. A forward proxy meets hosts without end. */
const MAX_DESTINATIONS = 1_000;

type Named = Pick<Call, 'authority' | 'target' | 'scheme'>;

/** The whole client as one service: every face puts its calls in here. */
export class Destinations {
  readonly #destinations = new Map<string, Destination>();
  readonly clusters: ClusterRegistry;
  readonly service: Service;
  /**
   * For calls that the mesh itself makes of what routes name beside the clusters that they lead to: the authority is the cluster's name, or where no
   * destination knows such a cluster and nobody keeps it, an authority like any other.
   */
  readonly beside: Service;
  readonly #kept: KeptClusters;
  readonly #pinned: Destination[] = [];
  #closed = false;

  constructor(
    private readonly source: HoldingSource,
    private readonly env: ClientEnv,
    private readonly unknownHosts: PassthroughOptions,
  ) {
    this.clusters = new ClusterRegistry(env);
    this.#kept = new KeptClusters(source, this.clusters, env);
    const send: Service = (call) => {
      if (this.#closed) return Promise.reject(new MeshClosedError());
      const destination = this.#of(call);
      destination.lastUsed = call.record.startedAt;
      return destination.service(call);
    };
    const hold = (call: Call): (() => void) => this.clusters.hold(call);
    this.service = stack(callFilters(env, hold), send);
    this.beside = stack(callFilters(env, hold), (call) => (this.#beside(call.authority) ?? send)(call));
  }

  /** Begins to watch an authority ahead of calls; resolves as `Destination.ready` does. */
  ready(target: string): Promise<void> {
    if (this.#closed) return Promise.reject(new MeshClosedError());
    const parsed = parseXdsTarget(target);
    const named = parsed.xdsAuthority === undefined ? undefined : formatXdsTarget(parsed);
    const destination = this.#of({ authority: dataPlaneAuthority(parsed), target: named, scheme: 'http' });
    destination.lastUsed = this.env.clock.now();
    return destination.ready();
  }

  /** Has a cluster loaded for calls by its name (`beside`), whether a destination knows it or not, until the result is called. */
  keep(cluster: string): () => void {
    return this.#closed ? () => {} : outsideOfCalls(() => this.#kept.keep(cluster));
  }

  /** A service whose calls go to one address, whatever they name (`pinned`); as long as this lives. */
  to(address: PinnedTo): Service {
    const destination = outsideOfCalls(() => pinned(address, this.unknownHosts.resolve, this.clusters, this.env));
    if (this.#closed) destination.close();
    else this.#pinned.push(destination);
    const hold = (call: Call): (() => void) => this.clusters.hold(call);
    return stack(callFilters(this.env, hold), destination.service);
  }

  list(): readonly Destination[] {
    return [...this.#destinations.values()];
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Before the destinations let go of them: a cluster that nobody uses any more waits for its calls.
    const closing = this.clusters.close();
    for (const destination of [...this.#destinations.values(), ...this.#pinned]) destination.close();
    this.#destinations.clear();
    this.#kept.close();
    await closing;
  }

  /** By authority and scheme: where a name is unknown to the mesh, https means another port and TLS. */
  #of(named: Named): Destination {
    const target = named.target ?? named.authority;
    const key = named.scheme === 'https' ? `https:${target}` : target;
    return this.#destinations.get(key) ?? this.#add(key, named);
  }

  /** Of whichever destination knows the cluster: it is one cluster for all of them. */
  #beside(cluster: string): Service | undefined {
    for (const destination of this.#destinations.values()) {
      const service = destination.beside(cluster);
      if (service !== undefined) return service;
    }
    return this.#kept.service(cluster);
  }

  #add(key: string, { authority, target, scheme }: Named): Destination {
    if (this.#destinations.size >= MAX_DESTINATIONS) this.#evict();
    // Checks, watches and connections that begin here are nobody's: they outlive the request that was first to ask.
    const destination = outsideOfCalls(
      () =>
        new Destination(
          target ?? authority,
          this.source,
          this.clusters,
          this.env,
          (use, fail) => passthrough(authority, scheme, this.unknownHosts, this.env, use, fail),
          this.unknownHosts.egress,
          splitAuthority(authority, scheme),
        ),
    );
    this.#destinations.set(key, destination);
    return destination;
  }

  #evict(): void {
    let oldest: [string, Destination] | undefined;
    for (const entry of this.#destinations) {
      if (entry[1].idle && (oldest === undefined || entry[1].lastUsed < oldest[1].lastUsed)) oldest = entry;
    }
    if (oldest === undefined) return;
    this.#destinations.delete(oldest[0]);
    oldest[1].close();
  }
}
