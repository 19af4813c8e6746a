import type { MeshError } from '../errors.js';
import type { AggregateClusterConfig, ClusterConfig } from './cluster.js';
import type { Route } from './route.js';

/**
 * All that is needed to serve calls to one authority, at one moment. Complete: every cluster that a route names is in `clusters`,
 * with its endpoints or with the reason why it has none. Frozen; a call sees one of these from start to end.
 */
export interface TargetConfig {
  readonly authority: string;
  /** In order of precedence: the first match wins. */
  readonly routes: readonly Route[];
  /**
   * Those that routes name, and the leaves of those that are aggregates. One that is in trouble is an error here and leaves the others
   * alone (gRFC A74).
   */
  readonly clusters: ReadonlyMap<string, ClusterConfig | AggregateClusterConfig | MeshError>;
}
