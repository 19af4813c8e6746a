import type { ClusterConfig } from '../../core/model/cluster.js';
import type { ClientEnv } from '../env.js';
import { Cluster } from './cluster.js';
import { offerGauges } from './gauges.js';
import { UnderWay } from './under-way.js';

/** The clusters in use, one of each name in the process: what fetch learns of an endpoint, gRPC knows. */
export class ClusterRegistry {
  readonly #clusters = new Map<string, { readonly cluster: Cluster; readonly stopGauges: () => void; users: number }>();
  readonly #underWay = new UnderWay();

  constructor(private readonly env: ClientEnv) {}

  /** The cluster of that name, brought up to date; `release` it when it is no longer needed. */
  acquire(config: ClusterConfig): Cluster {
    const entry = this.#clusters.get(config.name);
    if (entry !== undefined) {
      entry.users++;
      entry.cluster.update(config);
      return entry.cluster;
    }
    const cluster = new Cluster(config, this.env, this.#underWay);
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

  /** Ends every attempt with MESH_CLOSED, those of retired clusters too, and every connection. None begins any more. */
  async close(): Promise<void> {
    const entries = [...this.#clusters.values()];
    this.#clusters.clear();
    this.#underWay.close();
    for (const { stopGauges } of entries) stopGauges();
    await Promise.all(entries.map(({ cluster }) => cluster.close()));
  }
}
