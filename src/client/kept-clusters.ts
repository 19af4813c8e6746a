import { ConfigUnavailableError } from '../core/errors.js';
import type { Service } from '../core/service.js';
import { Destination } from './destination.js';
import type { ClusterRegistry } from './endpoints/registry.js';
import type { ClientEnv } from './env.js';
import type { HoldingSource } from './holding-source.js';

interface Kept {
  readonly destination: Destination;
  users: number;
}

/** Clusters that are called by their name, loaded as long as somebody keeps them: those that servers of this process need, and no client may know. */
export class KeptClusters {
  readonly #kept = new Map<string, Kept>();

  constructor(
    private readonly source: HoldingSource,
    private readonly registry: ClusterRegistry,
    private readonly env: ClientEnv,
  ) {}

  /** Until the result is called. */
  keep(cluster: string): () => void {
    const kept = this.#kept.get(cluster) ?? this.#open(cluster);
    if (kept === undefined) return () => {};
    kept.users++;
    let keeping = true;
    return () => {
      if (!keeping) return;
      keeping = false;
      kept.users--;
      if (kept.users > 0 || this.#kept.get(cluster) !== kept) return;
      this.#kept.delete(cluster);
      kept.destination.close();
    };
  }

  /** Waits for the cluster while it is not known yet. Undefined: nobody keeps it, or there is none of that name. */
  service(cluster: string): Service | undefined {
    const destination = this.#kept.get(cluster)?.destination;
    if (destination === undefined || destination.config?.clusters.get(cluster) instanceof Error) return undefined;
    return destination.service;
  }

  close(): void {
    for (const { destination } of this.#kept.values()) destination.close();
    this.#kept.clear();
  }

  #open(cluster: string): Kept | undefined {
    const watch = this.source.watchCluster?.bind(this.source);
    if (watch === undefined) return undefined;
    const destination = new Destination(cluster, { watch }, this.registry, this.env, (_, fail) => {
      fail(new ConfigUnavailableError(`cluster "${cluster}": clusters cannot be called by name here`));
      return () => {};
    });
    const kept = { destination, users: 0 };
    this.#kept.set(cluster, kept);
    return kept;
  }
}
