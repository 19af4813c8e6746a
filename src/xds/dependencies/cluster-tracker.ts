import type { ConfigWatcher } from '../../core/config-source.js';
import { ConfigUnavailableError } from '../../core/errors.js';
import { besideRoute } from '../../core/model/beside.js';
import type { Route } from '../../core/model/route.js';
import type { TargetConfig } from '../../core/model/target.js';
import type { Clusters } from './clusters.js';
import { TargetClusters } from './target-clusters.js';

/**
 * A cluster that is called by its name, though no route leads to it: CDS → EDS or DNS, through aggregates. It is told of as a destination whose calls all go
 * to the cluster, without limits of the route's own: whoever calls it so has one.
 */
export class ClusterTracker {
  readonly #clusters: TargetClusters;
  readonly #routes: readonly Route[];
  #published: (TargetConfig & { readonly clusters: ReturnType<TargetClusters['collect']> }) | undefined;
  #scheduled = false;
  #closed = false;

  constructor(
    private readonly name: string,
    clusters: Clusters,
    private readonly out: ConfigWatcher,
  ) {
    this.#routes = Object.freeze([Object.freeze(besideRoute(name))]);
    this.#clusters = new TargetClusters(clusters, {
      changed: () => this.#schedule(),
      ambient: ({ message }) => {
        if (this.#published !== undefined) this.out.ambient(new ConfigUnavailableError(message));
      },
    });
  }

  /** Begins to watch; tells what can be told at once before it returns. */
  start(): void {
    this.#evaluate();
  }

  close(): void {
    this.#closed = true;
    this.#clusters.release();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#evaluate();
    });
  }

  #evaluate(): void {
    this.#clusters.hold([this.name], []);
    if (this.#clusters.unfinished) this.#schedule();
    if (!this.#clusters.complete) return;
    const last = this.#published;
    const clusters = this.#clusters.collect([this.name], last?.clusters);
    if (last !== undefined && isSame(last.clusters, clusters)) return;
    this.#published = Object.freeze({ authority: this.name, routes: this.#routes, clusters });
    this.out.changed(this.#published);
  }
}

function isSame(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, state] of b) if (a.get(name) !== state) return false;
  return true;
}
