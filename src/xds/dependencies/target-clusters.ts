import { MeshError } from '../../core/errors.js';
import { LayeredMap } from '../../core/layered-map.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../core/model/cluster.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import { retain } from '../resources/share.js';
import { type AggregateGraph, aggregateState, followAggregate, isMembers, reachable } from './aggregates.js';
import type { NodeState } from './cluster-node.js';
import type { ClusterHold, Clusters } from './clusters.js';
import { fallbackNames, fallbackOf } from './fallbacks.js';

/** Clusters taken up in one go, about a millisecond of work: a target may name thousands, and all of them may be known already. */
export const CLUSTERS_AT_ONCE = 100;

/** A cluster as a target shows it. */
export type ClusterState = ClusterConfig | AggregateClusterConfig | MeshError;

/** Other values for clusters that are shown. */
export type Changes = readonly (readonly [string, ClusterState])[];

export interface TargetClustersOwner {
  /** Something of the cluster is another than before. */
  changed(name: string): void;
  ambient(error: Error): void;
}

/** The clusters that one target holds: those that it names, and what is behind those of them that are aggregates. */
export class TargetClusters {
  readonly #held = new Map<string, ClusterHold>();
  /** Of those required, which are not known yet. */
  readonly #awaited = new Set<string>();
  /** As of the last `collect`: the aggregates that it was asked for. */
  readonly #aggregates = new Map<string, AggregateGraph>();
  /** Of those held, which cannot be used. */
  readonly #troubles = new Map<string, MeshError>();
  /** How many more may be taken up by this call of `hold`. */
  #room = 0;

  constructor(
    private readonly clusters: Clusters,
    private readonly owner: TargetClustersOwner,
  ) {}

  /**
   * Holds what the names lead to, and what calls to them may fall back to, and lets go of everything else. Afterwards `complete` tells whether all is known that `required` lead to, and
   * `unfinished` that it is not all held yet: call it again when others have had their turn.
   */
  hold(required: readonly string[], others: Iterable<string>): void {
    this.#room = CLUSTERS_AT_ONCE;
    const wanted = reachable(required, (name) => this.#take(name));
    this.#awaited.clear();
    // At the deepest layer nobody has asked for the state yet.
    for (const name of wanted) if (this.#take(name) === undefined) this.#awaited.add(name);
    const roots = [...others];
    const fallbacks = fallbackNames([...required, ...roots], (name) => this.#take(name));
    const kept = reachable([...roots, ...fallbacks], (name) => this.#take(name));
    for (const name of kept) this.#take(name);
    for (const [name, hold] of this.#held) {
      if (wanted.has(name) || kept.has(name)) continue;
      this.#held.delete(name);
      hold.release();
    }
  }

  get unfinished(): boolean {
    return this.#room < 0;
  }

  /** Every cluster that is required is known, be it as trouble. */
  get complete(): boolean {
    return this.#awaited.size === 0 && !this.unfinished;
  }

  /**
   * What of `shown`, the last that was collected, is another now that something of the clusters in `changed` is: their own entries, and those
   * of aggregates which gain or lose a leaf. Undefined when it may be more than that: all must be looked at.
   */
  follow(changed: ReadonlySet<string>, shown: ReadonlyMap<string, ClusterState> | undefined): Changes | undefined {
    const changes: [string, ClusterState][] = [];
    const turned = new Set<string>();
    for (const name of changed) {
      const state = this.state(name);
      const isNew = state !== undefined && this.#awaited.delete(name);
      // What leads to what may be another.
      if (isMembers(state) || this.#aggregates.has(name)) return undefined;
      const before = shown?.get(name);
      if (before !== undefined && fallbackOf(state) !== fallbackOf(before)) return undefined;
      if (before === undefined && state !== undefined && !isNew) return undefined;
      if (before === undefined || state === undefined || state === before) continue;
      changes.push([name, state]);
      this.#note(name, state);
      if (state instanceof MeshError || before instanceof MeshError) turned.add(name);
    }
    if (shown !== undefined && turned.size > 0) this.#turn(turned, shown, changes);
    return changes;
  }

  state(name: string): NodeState | undefined {
    return this.#held.get(name)?.state;
  }

  /** All that `names` lead to, and fall back to; equal aggregates keep their identity. Only when it is known. */
  collect(
    names: Iterable<string>,
    previous: ReadonlyMap<string, ClusterState> | undefined,
  ): LayeredMap<string, ClusterState> {
    const found = new Map<string, ClusterState>();
    this.#aggregates.clear();
    this.#troubles.clear();
    for (const [name, { state }] of this.#held) if (state !== undefined && !isMembers(state)) this.#note(name, state);
    const stateOf = (name: string): NodeState | undefined => this.state(name);
    const roots = [...names];
    for (const name of new Set([...roots, ...fallbackNames(roots, stateOf)])) {
      const state = stateOf(name);
      if (isMembers(state)) {
        const graph = followAggregate(name, state, stateOf);
        this.#aggregates.set(name, graph);
        for (const part of graph.parts) {
          const of = stateOf(part);
          if (of !== undefined && !isMembers(of)) found.set(part, of);
        }
        found.set(name, sameTrouble(previous?.get(name), aggregateState(graph, this.#troubles)));
      } else if (state !== undefined) found.set(name, state);
    }
    return LayeredMap.over(found);
  }

  release(): void {
    for (const hold of this.#held.values()) hold.release();
    this.#held.clear();
    this.#awaited.clear();
    this.#aggregates.clear();
    this.#troubles.clear();
  }

  #note(name: string, state: ClusterConfig | MeshError): void {
    if (state instanceof MeshError) this.#troubles.set(name, state);
    else this.#troubles.delete(name);
  }

  /** Aggregates leave out their members in trouble: those that any of `turned` is in are made anew, without a walk. */
  #turn(
    turned: ReadonlySet<string>,
    shown: ReadonlyMap<string, ClusterState>,
    changes: [string, ClusterState][],
  ): void {
    for (const [name, graph] of this.#aggregates) {
      if (!intersect(graph.parts, turned)) continue;
      const before = shown.get(name);
      const state = aggregateState(graph, this.#troubles);
      if (!isSame(before, state)) changes.push([name, state]);
    }
  }

  #take(name: string): NodeState | undefined {
    let hold = this.#held.get(name);
    if (hold === undefined) {
      if (this.#room-- <= 0) return undefined;
      hold = this.clusters.hold(name, {
        changed: () => this.owner.changed(name),
        ambient: (error) => this.owner.ambient(error),
      });
      this.#held.set(name, hold);
    }
    return hold.state;
  }
}

function intersect(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  for (const name of few) if (many.has(name)) return true;
  return false;
}

/** Of two states of one graph, which can differ in their leaves only. */
function isSame(before: ClusterState | undefined, state: ClusterState): boolean {
  if (state instanceof MeshError) return before instanceof MeshError && before.message === state.message;
  if (before === undefined || before instanceof MeshError || before.kind !== 'aggregate') return false;
  const { leaves } = before;
  return (
    state.kind === 'aggregate' &&
    state.leaves.length === leaves.length &&
    state.leaves.every((leaf, i) => leaf === leaves[i])
  );
}

/** The state from before when it is equal, so that nobody is told of a change that is none. */
function sameTrouble(previous: ClusterState | undefined, next: ClusterState): ClusterState {
  if (next instanceof TroubledCluster) return next.equals(previous) ? (previous as TroubledCluster) : next;
  if (next instanceof MeshError)
    return previous instanceof MeshError && previous.message === next.message ? previous : next;
  return retain(previous instanceof MeshError ? undefined : previous, next);
}
