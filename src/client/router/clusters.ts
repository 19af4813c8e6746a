import type { Call } from '../../core/call.js';
import { MeshError } from '../../core/errors.js';
import { changedKeys } from '../../core/layered-map.js';
import type { TargetConfig } from '../../core/model/target.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import type { Aggregate } from '../endpoints/aggregate.js';
import type { Cluster } from '../endpoints/cluster.js';
import type { ClusterRegistry, Keep } from '../endpoints/registry.js';
import type { ClientEnv } from '../env.js';
import { ClusterRef, type Meaning } from './cluster-ref.js';
import { LateClusters } from './late-clusters.js';

/** The clusters of a target at run time: each made with the first call to it, kept as long as the target names it. */
export class RouterClusters {
  #config: TargetConfig;
  readonly #late: LateClusters;
  readonly #refs = new Map<string, ClusterRef>();
  readonly #clusters = new Map<string, Cluster>();
  readonly #aggregates = new Map<string, Aggregate>();
  /** Set when the target has let go of them all: what calls still need that are late is lent to each. */
  #released: { readonly keep: Keep | undefined } | undefined;

  constructor(
    config: TargetConfig,
    private readonly registry: ClusterRegistry,
    env: Pick<ClientEnv, 'clock' | 'deadlines'>,
  ) {
    this.#config = config;
    this.#late = new LateClusters(env);
    // Those that linger for the sake of a late call are named here though no route may name them.
    for (const state of config.clusters.values()) if (isLeaf(state)) registry.refresh(state);
  }

  get config(): TargetConfig {
    return this.#config;
  }

  /** A route names it. What there is of it, and of what it falls back to, already is ours too from now on, so that it lives on when others let go of it. */
  claim(name: string): void {
    this.#claim(name);
    const state = this.#config.clusters.get(name);
    const fallbacks = state instanceof MeshError && !(state instanceof TroubledCluster) ? undefined : state?.fallback;
    for (const fallback of fallbacks ?? []) if (fallback.kind === 'service') this.#claim(fallback.cluster);
  }

  #claim(name: string): void {
    const state = this.#config.clusters.get(name);
    if (state === undefined || state instanceof MeshError) return;
    if (state.kind === 'leaf') {
      if (this.registry.has(state)) this.#cluster(name);
      return;
    }
    if (this.registry.hasAggregate(name)) this.#aggregate(name);
    for (const leaf of state.leaves) this.#claim(leaf);
  }

  /** What calls go to that a route sends there. Look it up for each: an update may make it something else. */
  ref(name: string): ClusterRef {
    let ref = this.#refs.get(name);
    if (ref === undefined) {
      ref = new ClusterRef(() => this.#resolve(name));
      if (this.#released !== undefined) ref.unfix();
      this.#refs.set(name, ref);
    }
    return ref;
  }

  /** Makes the clusters, as a first call would, and waits for the connections that they want ahead of calls. Trouble is the calls' to tell of. */
  warmed(names: Iterable<string>): Promise<unknown> {
    return Promise.all(
      [...names].map((name) => {
        const meaning = this.use(name);
        return meaning === undefined || meaning instanceof MeshError ? undefined : meaning.warmed();
      }),
    );
  }

  use(name: string): Meaning {
    return this.ref(name).meaning;
  }

  /** `ClusterRegistry.hold`. */
  hold(call: Call): () => void {
    return this.registry.hold(call);
  }

  /**
   * The cluster that a call may fall back to, which over ADS may be heard of later than the one that it was for: the call waits for it, since it has no
   * other answer. Undefined when there is none.
   */
  async late(name: string, call: Call): Promise<Meaning> {
    if (!this.#config.clusters.has(name) && this.#released === undefined) await this.#late.heard(name, call);
    return this.use(name);
  }

  /**
   * Takes over what differs, at the cost of what differs: a cluster that comes into trouble, or out of it, becomes something else, and leaves the
   * others alone. False when routes differ: then what was composed of them is void. `keep`: for clusters that calls may still need.
   */
  update(config: TargetConfig, keep?: Keep): boolean {
    const before = this.#config;
    if (config.routes !== before.routes) return false;
    const changed = changedKeys(before.clusters, config.clusters);
    this.#config = config;
    for (const name of changed) {
      this.#late.tell(name);
      const state = config.clusters.get(name);
      if (!isSameLeaf(before.clusters.get(name), state)) this.#replace(name, keep);
      if (isLeaf(state)) this.registry.refresh(state);
    }
    return true;
  }

  release(keep: Keep | undefined): void {
    this.#released = { keep };
    this.#late.close();
    for (const ref of this.#refs.values()) ref.unfix();
    for (const aggregate of this.#aggregates.values()) this.registry.releaseAggregate(aggregate);
    for (const cluster of this.#clusters.values()) this.registry.release(cluster, keep);
  }

  /** Lets go of what the name stood for, once what it stands for now has been claimed, so that leaves in both live on. */
  #replace(name: string, keep: Keep | undefined): void {
    const cluster = this.#clusters.get(name);
    const aggregate = this.#aggregates.get(name);
    this.#clusters.delete(name);
    this.#aggregates.delete(name);
    this.#refs.get(name)?.forget();
    if (cluster !== undefined || aggregate !== undefined) this.claim(name);
    if (aggregate !== undefined) {
      this.registry.releaseAggregate(aggregate);
      for (const leaf of aggregate.config.leaves) this.#releaseUnknown(leaf, keep);
    }
    if (cluster !== undefined) this.registry.release(cluster, keep);
    for (const other of this.#aggregates.values()) other.leafChanged(name);
  }

  /** A leaf that the target does not know any more. */
  #releaseUnknown(name: string, keep: Keep | undefined): void {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined || this.#config.clusters.has(name)) return;
    this.#clusters.delete(name);
    this.#refs.get(name)?.forget();
    this.registry.release(cluster, keep);
  }

  #resolve(name: string): Meaning {
    const state = this.#config.clusters.get(name);
    return state instanceof MeshError ? state : (this.#cluster(name) ?? this.#aggregate(name));
  }

  #cluster(name: string): Cluster | undefined {
    const known = this.#clusters.get(name);
    if (known !== undefined && !known.retired) return known;
    const state = this.#config.clusters.get(name);
    if (!isLeaf(state)) return undefined;
    const late = this.#released;
    const cluster = late === undefined ? this.registry.acquire(state) : this.registry.lend(state, late.keep);
    this.#clusters.set(name, cluster);
    return cluster;
  }

  #aggregate(name: string): Aggregate | undefined {
    const known = this.#aggregates.get(name);
    if (known !== undefined) return known;
    const state = this.#config.clusters.get(name);
    if (state === undefined || state instanceof MeshError || state.kind !== 'aggregate') return undefined;
    const leaves = (leaf: string): Cluster | undefined => this.#cluster(leaf);
    const late = this.#released !== undefined;
    const aggregate = late ? this.registry.lendAggregate(state, leaves) : this.registry.acquireAggregate(state, leaves);
    this.#aggregates.set(name, aggregate);
    return aggregate;
  }
}

type State = NonNullable<ReturnType<TargetConfig['clusters']['get']>>;

/** Which is brought up to date, where another one would have to be taken in its place. */
const isSameLeaf = (old: State | undefined, state: State | undefined): boolean =>
  isLeaf(old) && isLeaf(state) && old.scope === state.scope;

const isLeaf = (state: State | undefined): state is Extract<State, { readonly kind: 'leaf' }> =>
  state !== undefined && !(state instanceof MeshError) && state.kind === 'leaf';
