import { MeshError } from '../../core/errors.js';
import { changedKeys } from '../../core/layered-map.js';
import type { TargetConfig } from '../../core/model/target.js';
import type { Aggregate } from '../endpoints/aggregate.js';
import type { Cluster } from '../endpoints/cluster.js';
import type { ClusterRegistry, Keep } from '../endpoints/registry.js';
import type { Upstream } from '../endpoints/upstream.js';

/** The clusters of a target at run time: each made with the first call to it, kept as long as the target names it. */
export class RouterClusters {
  #config: TargetConfig;
  readonly #clusters = new Map<string, Cluster>();
  readonly #aggregates = new Map<string, Aggregate>();
  #released = false;

  constructor(
    config: TargetConfig,
    private readonly registry: ClusterRegistry,
  ) {
    this.#config = config;
    // Those that linger for the sake of a late call are named here though no route may name them.
    for (const state of config.clusters.values()) if (isLeaf(state)) registry.refresh(state);
  }

  get config(): TargetConfig {
    return this.#config;
  }

  /** A route names it. What there is of it already is ours too from now on, so that it lives on when others let go of it. */
  claim(name: string): void {
    const state = this.#config.clusters.get(name);
    if (state === undefined || state instanceof MeshError) return;
    if (state.kind === 'leaf') {
      if (this.registry.has(state)) this.#cluster(name);
      return;
    }
    if (this.registry.hasAggregate(name)) this.#aggregate(name);
    for (const leaf of state.leaves) this.claim(leaf);
  }

  /** The cluster that calls go to, why they cannot, or undefined when the target knows none of that name. */
  use(name: string): Upstream | MeshError | undefined {
    const state = this.#config.clusters.get(name);
    return state instanceof MeshError ? state : (this.#cluster(name) ?? this.#aggregate(name));
  }

  /** False when routes differ, or what kind of thing a cluster is: then what was composed of it is void. */
  update(config: TargetConfig): boolean {
    const before = this.#config;
    if (config.routes !== before.routes) return false;
    const changed = changedKeys(before.clusters, config.clusters);
    for (const name of changed) {
      const old = before.clusters.get(name);
      // New and named by no route: somebody holds it.
      if (old !== undefined && !isSameLeaf(old, config.clusters.get(name))) return false;
    }
    this.#config = config;
    for (const name of changed) {
      const state = config.clusters.get(name);
      if (state !== undefined && isLeaf(state)) this.registry.refresh(state);
    }
    return true;
  }

  release(keep: Keep | undefined): void {
    this.#released = true;
    for (const aggregate of this.#aggregates.values()) this.registry.releaseAggregate(aggregate);
    for (const cluster of this.#clusters.values()) this.registry.release(cluster, keep);
  }

  #cluster(name: string): Cluster | undefined {
    const known = this.#clusters.get(name);
    if (known !== undefined) return known;
    const state = this.#config.clusters.get(name);
    if (!isLeaf(state)) return undefined;
    const cluster = this.registry.acquire(state);
    this.#clusters.set(name, cluster);
    // For a call of ours that is late: nobody else will let go of it.
    if (this.#released) this.registry.release(cluster);
    return cluster;
  }

  #aggregate(name: string): Aggregate | undefined {
    const known = this.#aggregates.get(name);
    if (known !== undefined) return known;
    const state = this.#config.clusters.get(name);
    if (state === undefined || state instanceof MeshError || state.kind !== 'aggregate') return undefined;
    const aggregate = this.registry.acquireAggregate(state, (leaf) => this.#cluster(leaf));
    this.#aggregates.set(name, aggregate);
    return aggregate;
  }
}

type State = NonNullable<ReturnType<TargetConfig['clusters']['get']>>;

/** Which is brought up to date, where another one would have to be taken in its place. */
const isSameLeaf = (old: State, state: State | undefined): boolean =>
  isLeaf(old) && isLeaf(state) && old.scope === state.scope;

const isLeaf = (state: State | undefined): state is Extract<State, { readonly kind: 'leaf' }> =>
  state !== undefined && !(state instanceof MeshError) && state.kind === 'leaf';
