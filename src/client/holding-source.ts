import type { ConfigSource, ConfigWatcher } from '../core/config-source.js';

/** A source of configuration that may be asked to go on telling of a cluster which routes no longer name. */
export interface HoldingSource extends Pick<ConfigSource, 'watch'> {
  /**
   * Keeps the cluster in the configuration of an authority that is watched until the result is called (gRFC A74's dynamic subscription).
   * Undefined: the source cannot, and calls that wait for endpoints of such a cluster wait in vain.
   */
  holdCluster?(authority: string, cluster: string): (() => void) | undefined;
  /** Watches a cluster by its name, as a destination of which it is all; otherwise as `watch`. Undefined: the source cannot. */
  watchCluster?(cluster: string, watcher: ConfigWatcher): () => void;
}
