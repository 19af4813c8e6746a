import type { ConfigSource } from '../core/config-source.js';
import type { WatchServer } from '../core/server-config.js';

/** A ConfigSource that may also configure servers (gRFC A36). */
export interface MeshSource extends ConfigSource {
  /** Undefined: there is no control plane that could. */
  readonly watchServer?: WatchServer;
}
