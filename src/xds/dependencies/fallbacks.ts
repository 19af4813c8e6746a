import { MeshError } from '../../core/errors.js';
import type { AggregateClusterConfig } from '../../core/model/cluster.js';
import type { FallbackConfig } from '../../core/model/fallback.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import type { StateOf } from './aggregates.js';
import type { NodeState } from './cluster-node.js';

/** What a cluster falls back to. The list is the same object as long as it says the same (`retain`). */
export function fallbackOf(
  state: NodeState | AggregateClusterConfig | undefined,
): readonly FallbackConfig[] | undefined {
  if (state instanceof TroubledCluster) return state.fallback;
  if (state === undefined || state instanceof MeshError) return undefined;
  return state.kind === 'members' ? state.settings.fallback : state.fallback;
}

/**
 * Clusters that calls to `names` may fall back to, as far as it is known. Not further: where a call has fallen back to it falls back from no more. No call
 * waits for one before it has failed itself, and one that is not there is trouble only for calls that would use it.
 */
export function* fallbackNames(names: Iterable<string>, stateOf: StateOf): Iterable<string> {
  for (const name of names)
    for (const fallback of fallbackOf(stateOf(name)) ?? []) if (fallback.kind === 'service') yield fallback.cluster;
}
