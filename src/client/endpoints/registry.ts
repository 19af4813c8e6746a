import type { ClusterConfig } from '../../core/model/cluster.js';
import type { ClientEnv } from '../env.js';
import { Cluster } from './cluster.js';
import { offerGauges } from './gauges.js';

/** The clusters in use, one of each name in the process: what fetch learns of an endpoint, gRPC knows. */
export class ClusterRegistry {
  readonly #clusters = new Map<string, { readonly cluster: Cluster; readonly stopGauges: () => void; users: number }>();

  constructor(private readonly env: ClientEnv) {}

  /** The cluster of that name, brought up to date; `release` it when it is no longer needed. */
  acquire(config: ClusterConfig): Cluster {
    const entry = this.#clusters.get(config.name);
    if (entry !== undefined) {
      entry.users++;
      entry.cluster.update(config);
      return entry.cluster;
    }
    const cluster = new Cluster(config, this.env);
    this.#clusters.set(config.name, { cluster, stopGauges: offerGauges(cluster, this.env.meter), users: 1 });
    return cluster;
  }

  release(cluster: Cluster): void {
    const name = cluster.config.name;
    const entry = this.#clusters.get(name);
    if (entry === undefined || entry.cluster !== cluster || --entry.users > 0) return;
    this.#clusters.delete(name);
    entry.stopGauges();
    cluster.retire();
  }

  list(): readonly Cluster[] {
    return [...this.#clusters.values()].map((entry) => entry.cluster);
  }

  async close(): Promise<void> {
    const clusters = this.list();
    this.#clusters.clear();
    await Promise.all(clusters.map((cluster) => cluster.close()));
  }
}
