import type { ConfigSource } from '../core/config-source.js';
import type { TargetConfig } from '../core/model/target.js';
import { localityKey } from './balancer/locality.js';

/**
 * How many instances of this process's own service run in each locality: what zone-aware balancing weighs its share by, so that all callers together
 * load each endpoint alike (Envoy `local_cluster_name`). The service is watched as any destination is, from the first time that somebody asks.
 */
export class LocalZones {
  #counts: ReadonlyMap<string, number> | undefined;
  #stop: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly source: Pick<ConfigSource, 'watch'>,
    /** The own service, as others call it. */
    private readonly authority: string,
  ) {}

  /** By `localityKey`; another object whenever it has changed. Undefined: not known, or not yet. */
  counts(): ReadonlyMap<string, number> | undefined {
    if (this.#stop === undefined && !this.#closed) {
      const none = (): void => {
        this.#counts = undefined;
      };
      this.#stop = this.source.watch(this.authority, {
        changed: (config) => {
          this.#counts = countsOf(config);
        },
        failed: none,
        // What was known last still stands.
        ambient: () => {},
        unknown: none,
      });
    }
    return this.#counts;
  }

  close(): void {
    this.#closed = true;
    this.#stop?.();
    this.#stop = undefined;
  }
}

/** Those that could take calls, in priority 0, as Envoy counts them; each once, though several clusters have it. */
function countsOf({ clusters }: TargetConfig): ReadonlyMap<string, number> | undefined {
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  for (const cluster of clusters.values()) {
    if (!('endpoints' in cluster)) continue;
    for (const { key, priority, health, locality } of cluster.endpoints) {
      if (priority !== 0 || health === 'draining' || health === 'unhealthy' || seen.has(key)) continue;
      seen.add(key);
      counts.set(localityKey(locality), (counts.get(localityKey(locality)) ?? 0) + 1);
    }
  }
  return counts.size === 0 ? undefined : counts;
}
