import { ConfigUnavailableError, MeshError } from '../../core/errors.js';
import type { AggregateClusterConfig } from '../../core/model/cluster.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import type { AggregateMembers, NodeState } from './cluster-node.js';

/** "The tree of aggregate clusters has a depth limit of 16" - gRFC A37; the aggregate itself and the leaf count. */
export const MAX_AGGREGATE_DEPTH = 16;
/** Members in trouble that one message names; the rest is counted. */
const SHOWN_TROUBLES = 10;

/** Undefined: nothing is known of it yet. */
export type StateOf = (name: string) => NodeState | undefined;

/** Every cluster that `roots` lead to, themselves first. Not deeper than an aggregate may be, so that the walk ends whatever is configured. */
export function reachable(roots: Iterable<string>, stateOf: StateOf): ReadonlySet<string> {
  const found = new Set(roots);
  let layer: Iterable<string> = [...found];
  for (let depth = 1; depth < MAX_AGGREGATE_DEPTH; depth++) {
    const next: string[] = [];
    for (const name of layer) {
      const state = stateOf(name);
      if (!isMembers(state)) continue;
      for (const member of state.members) {
        if (found.has(member)) continue;
        found.add(member);
        next.push(member);
      }
    }
    if (next.length === 0) break;
    layer = next;
  }
  return found;
}

/** An aggregate followed to its ends: what stays as it is while every cluster in it has the members, or none, that it had. */
export interface AggregateGraph {
  readonly name: string;
  readonly settings: AggregateMembers['settings'];
  /** What may serve: its leaves, and those of its members that are in trouble. In order of preference. */
  readonly parts: ReadonlySet<string>;
  /** Its members have no end; undefined: they do. */
  readonly problem: MeshError | undefined;
}

/** Follows an aggregate to its leaves, depth first: their order is the order of preference. All of its members must be known. */
export function followAggregate(name: string, root: AggregateMembers, stateOf: StateOf): AggregateGraph {
  const walk = new Walk(stateOf);
  const { parts } = walk;
  try {
    walk.visit(name, root, 1);
    return { name, settings: root.settings, parts, problem: undefined };
  } catch (error) {
    if (error instanceof MeshError) return { name, settings: root.settings, parts, problem: error };
    throw error;
  }
}

/** What an aggregate is while the clusters in `troubles`, which may be more than its own, cannot be used. */
export function aggregateState(
  { name, settings, parts, problem }: AggregateGraph,
  troubles: ReadonlyMap<string, MeshError>,
): AggregateClusterConfig | MeshError {
  if (problem !== undefined) return problem;
  const leaves: string[] = [];
  for (const part of parts) if (!troubles.has(part)) leaves.push(part);
  // "we will now simply skip any underlying cluster that does not exist … care should be taken to ensure that the aggregate cluster properly
  // fails picks when the leaf cluster list is empty" - gRFC A74
  if (leaves.length === 0) {
    const messages = [...parts].map((part) => troubles.get(part)?.message ?? '');
    const rest = messages.length > SHOWN_TROUBLES ? `; and ${messages.length - SHOWN_TROUBLES} more` : '';
    const shown = messages.slice(0, SHOWN_TROUBLES).join('; ');
    const message = `aggregate cluster "${name}": no cluster of it can be used: ${shown}${rest}`;
    return new TroubledCluster(message, settings.fallback);
  }
  const { statName, limits, retryBudget, fallback } = settings;
  const { maxRetries, activeRetryBudget } = limits;
  return Object.freeze({
    kind: 'aggregate',
    name,
    statName,
    leaves: Object.freeze(leaves),
    retryBudget,
    maxRetries,
    activeRetryBudget,
    fallback,
  });
}

/** Looks at each cluster once, however many ways lead to it. */
class Walk {
  readonly parts = new Set<string>();
  /** Layers below and including each cluster that was looked at. */
  readonly #heights = new Map<string, number>();
  /** The way to where the walk is. */
  readonly #path = new Set<string>();

  constructor(private readonly stateOf: StateOf) {}

  /** Returns its height. Throws a MeshError when there is no end to it. */
  visit(name: string, state: NodeState | undefined, depth: number): number {
    if (this.#path.has(name)) {
      const loop = [...this.#path, name].map((part) => `"${part}"`).join(' -> ');
      throw new ConfigUnavailableError(`aggregate cluster: its members lead back to itself: ${loop}`);
    }
    // "If an underlying cluster appears more than once … only one … entry should be created for it, in the earliest position" - gRFC A37
    const known = this.#heights.get(name);
    if (depth + (known ?? 1) - 1 > MAX_AGGREGATE_DEPTH) {
      throw new ConfigUnavailableError(
        `aggregate cluster "${[...this.#path][0]}": more than ${MAX_AGGREGATE_DEPTH} layers of clusters, at "${name}" (gRFC A37)`,
      );
    }
    if (known !== undefined) return known;
    let height = 1;
    if (isMembers(state)) {
      this.#path.add(name);
      for (const member of state.members)
        height = Math.max(height, 1 + this.visit(member, this.stateOf(member), depth + 1));
      this.#path.delete(name);
    } else this.parts.add(name);
    this.#heights.set(name, height);
    return height;
  }
}

export function isMembers(state: NodeState | undefined): state is AggregateMembers {
  return state !== undefined && !(state instanceof MeshError) && state.kind === 'members';
}
