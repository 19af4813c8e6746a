import { MeshError } from '../../core/errors.js';
import { LayeredMap } from '../../core/layered-map.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../core/model/cluster.js';
import { retain } from '../resources/share.js';
import { isMembers, reachable, resolveAggregate } from './aggregates.js';
import type { NodeState } from './cluster-node.js';
import type { ClusterHold, Clusters } from './clusters.js';

/** Clusters taken up in one go, about a millisecond of work: a target may name thousands, and all of them may be known already. */
export const CLUSTERS_AT_ONCE = 100;

/** A cluster as a target shows it. */
export type ClusterState = ClusterConfig | AggregateClusterConfig | MeshError;

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
  /** How many more may be taken up by this call of `hold`. */
  #room = 0;

  constructor(
    private readonly clusters: Clusters,
    private readonly owner: TargetClustersOwner,
  ) {}

  /**
   * Holds what the names lead to, and lets go of everything else. Afterwards `complete` tells whether all is known that `required` lead to, and
   * `unfinished` that it is not all held yet: call it again when others have had their turn.
   */
  hold(required: Iterable<string>, others: Iterable<string>): void {
    this.#room = CLUSTERS_AT_ONCE;
    const wanted = reachable(required, (name) => this.#take(name));
    this.#awaited.clear();
    // At the deepest layer nobody has asked for the state yet.
    for (const name of wanted) if (this.#take(name) === undefined) this.#awaited.add(name);
    const kept = reachable(others, (name) => this.#take(name));
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

  /** Takes note that more may be known of the cluster. False when more than itself may be another now: all must be looked at. */
  refresh(name: string, before: ClusterState | undefined): boolean {
    const state = this.#held.get(name)?.state;
    const isNew = state !== undefined && this.#awaited.delete(name);
    if (isMembers(state)) return false;
    if (before === undefined) return isNew || state === undefined;
    // An aggregate leaves out its members in trouble.
    return isLeaf(before) && isLeaf(state);
  }

  state(name: string): NodeState | undefined {
    return this.#held.get(name)?.state;
  }

  /** All that `names` lead to; equal aggregates keep their identity. Only when it is known. */
  collect(
    names: Iterable<string>,
    previous: ReadonlyMap<string, ClusterState> | undefined,
  ): LayeredMap<string, ClusterState> {
    const found = new Map<string, ClusterState>();
    const stateOf = (name: string): NodeState | undefined => this.state(name);
    for (const name of names) {
      const state = stateOf(name);
      if (isMembers(state)) {
        const resolved = resolveAggregate(name, state, stateOf);
        for (const [part, of] of resolved.parts) found.set(part, of);
        found.set(name, sameTrouble(previous?.get(name), resolved.state));
      } else if (state !== undefined) found.set(name, state);
    }
    return LayeredMap.over(found);
  }

  release(): void {
    for (const hold of this.#held.values()) hold.release();
    this.#held.clear();
    this.#awaited.clear();
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

const isLeaf = (state: ClusterState | NodeState | undefined): boolean =>
  state !== undefined && !(state instanceof MeshError) && state.kind === 'leaf';

/** The state from before when it is equal, so that nobody is told of a change that is none. */
function sameTrouble(previous: ClusterState | undefined, next: ClusterState): ClusterState {
  if (next instanceof MeshError)
    return previous instanceof MeshError && previous.message === next.message ? previous : next;
  return retain(previous instanceof MeshError ? undefined : previous, next);
}
