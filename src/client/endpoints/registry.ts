import type { Call } from '../../core/call.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../core/model/cluster.js';
import type { ClientEnv } from '../env.js';
import { Aggregate } from './aggregate.js';
import { AggregateShare } from './aggregate-share.js';
import { Cluster } from './cluster.js';
import { offerGauges } from './gauges.js';
import { offerSecurity } from './security-gauge.js';
import { UnderWay } from './under-way.js';

/** How often it is looked whether the last call is done with a cluster that no target names any more, in milliseconds. */
export const LINGER_MS = 1_000;

/** Asks the source of configuration to go on telling of a cluster; undefined when it cannot. The result ends it. */
export type Keep = (cluster: string) => (() => void) | undefined;

interface Entry {
  readonly cluster: Cluster;
  readonly stopGauges: () => void;
  /** Routers that have it. */
  users: number;
  /** Ends the wait for its last call; undefined while somebody has it. */
  stopLingering: (() => void) | undefined;
}

/** What makes two configurations those of one cluster. */
const identity = ({ name, scope }: ClusterConfig): string => (scope === undefined ? name : `${name}\0${scope}`);

/**
 * The clusters in use, one of each name (and scope) in the process: what fetch learns of an endpoint, gRPC knows.
 *
 * A cluster lives until the last call that chose it has picked ("gives each RPC a ref to the cluster … to ensure that the cluster is not removed
 * … before the RPC is done with its LB picks" - gRFC A31, A74). Calls hold no references, which would cost each of them: what they have under way
 * is counted by the cluster's circuit limits anyhow, retries through their back-off and calls that wait for endpoints included. A cluster
 * that is let go while any of these is above zero stays, brought up to date, and is looked at again every LINGER_MS.
 */
export class ClusterRegistry {
  readonly #clusters = new Map<string, Entry>();
  readonly #shares = new Map<string, { readonly share: AggregateShare; users: number }>();
  readonly #underWay = new UnderWay();

  constructor(private readonly env: ClientEnv) {}

  /** The cluster of that name, brought up to date; `release` it when it is no longer needed. */
  acquire(config: ClusterConfig): Cluster {
    const key = identity(config);
    const entry = this.#clusters.get(key);
    if (entry !== undefined) {
      entry.users++;
      entry.stopLingering?.();
      entry.stopLingering = undefined;
      entry.cluster.update(config);
      return entry.cluster;
    }
    return this.#add(config, 1).cluster;
  }

  /**
   * The cluster of that name for one call that is late: its target has let go of it already, or never had it. The call must begin in this turn, since
   * nobody releases the cluster: one that others have stays as it is, and one that is made for the call lingers for its sake.
   */
  lend(config: ClusterConfig, keep?: Keep): Cluster {
    const known = this.#clusters.get(identity(config));
    if (known !== undefined) return known.cluster;
    const entry = this.#add(config, 0);
    if (this.#underWay.closed) this.#retire(entry);
    else this.#linger(entry, keep?.(config.name));
    return entry.cluster;
  }

  has(cluster: ClusterConfig): boolean {
    return this.#clusters.has(identity(cluster));
  }

  hasAggregate(aggregate: string): boolean {
    return this.#shares.has(aggregate);
  }

  /** Brings the cluster up to date if anybody has it. */
  refresh(config: ClusterConfig): void {
    this.#clusters.get(identity(config))?.cluster.update(config);
  }

  release(cluster: Cluster, keep?: Keep): void {
    const entry = this.#clusters.get(identity(cluster.config));
    if (entry === undefined || entry.cluster !== cluster || --entry.users > 0) return;
    if (cluster.busy) this.#linger(entry, keep?.(cluster.config.name));
    else this.#retire(entry);
  }

  /** An aggregate on what all of its name have in common; `cluster` gives its leaves. `releaseAggregate` it. */
  acquireAggregate(config: AggregateClusterConfig, cluster: (name: string) => Cluster | undefined): Aggregate {
    let shared = this.#shares.get(config.name);
    if (shared === undefined) {
      shared = { share: new AggregateShare(config, this.env, this.#underWay), users: 0 };
      this.#shares.set(config.name, shared);
    }
    shared.users++;
    shared.share.released = false;
    shared.share.update(config);
    const aggregate = new Aggregate(config, shared.share, cluster, this.env, this.#underWay);
    shared.share.newest = aggregate;
    return aggregate;
  }

  /** Likewise for a call that is late: on what those who have the aggregate share, as it is, else on its own. */
  lendAggregate(config: AggregateClusterConfig, cluster: (name: string) => Cluster | undefined): Aggregate {
    const known = this.#shares.get(config.name)?.share;
    const share = known ?? new AggregateShare(config, this.env, this.#underWay);
    const aggregate = new Aggregate(config, share, cluster, this.env, this.#underWay);
    if (known === undefined) {
      share.released = true;
      share.newest = aggregate;
    }
    return aggregate;
  }

  releaseAggregate({ config }: Aggregate): void {
    const shared = this.#shares.get(config.name);
    if (shared === undefined || --shared.users > 0) return;
    shared.share.released = true;
    // One that calls wait for is there for them when it is named again.
    for (const [name, { share }] of this.#shares) if (share.released && !share.busy) this.#shares.delete(name);
  }

  list(): readonly Cluster[] {
    return [...this.#clusters.values()].map((entry) => entry.cluster);
  }

  /** For a call that waits for something else than a cluster: it ends with the mesh as well. The result lets go of it, once. */
  hold(call: Call): () => void {
    return this.#underWay.hold(call);
  }

  /** Ends every attempt with MESH_CLOSED, those of retired clusters too, and every connection. None begins any more. */
  async close(): Promise<void> {
    const entries = [...this.#clusters.values()];
    this.#clusters.clear();
    this.#underWay.close();
    for (const { stopGauges, stopLingering } of entries) {
      stopGauges();
      stopLingering?.();
    }
    await Promise.all(entries.map(({ cluster }) => cluster.close()));
  }

  #add(config: ClusterConfig, users: number): Entry {
    const cluster = new Cluster(config, this.env, this.#underWay);
    const stops = [offerGauges(cluster, this.env.meter), offerSecurity(cluster, this.env)];
    const stopGauges = (): void => {
      for (const stop of stops) stop();
    };
    const entry = { cluster, stopGauges, users, stopLingering: undefined };
    this.#clusters.set(identity(config), entry);
    return entry;
  }

  #linger(entry: Entry, stopKeeping: (() => void) | undefined): void {
    const look = (): void => {
      if (entry.cluster.busy) cancel = this.#later(look);
      else this.#retire(entry);
    };
    let cancel = this.#later(look);
    entry.stopLingering = () => {
      cancel();
      stopKeeping?.();
    };
  }

  #later(look: () => void): () => void {
    return this.env.clock.after(LINGER_MS, look, { background: true });
  }

  #retire(entry: Entry): void {
    this.#clusters.delete(identity(entry.cluster.config));
    entry.stopLingering?.();
    entry.stopGauges();
    entry.cluster.retire();
  }
}
