import type { HoldingSource } from '../client/holding-source.js';
import type { ConfigSource } from '../core/config-source.js';
import type { Locality } from '../core/model/endpoint.js';
import type { WatchServer } from '../core/server-config.js';

/** Where a mesh's configuration comes from, and what else is known there. */
export interface MeshSource extends ConfigSource, HoldingSource {
  /** Configures servers (gRFC A36). Undefined: nobody could. */
  readonly watchServer?: WatchServer;
  /** Where this process runs, as the bootstrap's node says. */
  readonly locality?: Locality | undefined;
}
