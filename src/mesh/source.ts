import type { HoldingSource } from '../client/holding-source.js';
import type { ConfigSource } from '../core/config-source.js';
import type { Locality } from '../core/model/endpoint.js';
import type { WatchServer } from '../core/server-config.js';
import type { CertificateProviderConfig } from '../xds/bootstrap/index.js';

/** Where a mesh's configuration comes from, and what else is known there. */
export interface MeshSource extends ConfigSource, HoldingSource {
  /** Configures servers (gRFC A36). Undefined: nobody could. */
  readonly watchServer?: WatchServer;
  /** `certificate_providers` of the bootstrap, by instance name. Undefined: there is none, or it is not there yet. */
  readonly certificateProviders?: ReadonlyMap<string, CertificateProviderConfig> | undefined;
  /** Where this process runs, as the bootstrap's node says. */
  readonly locality?: Locality | undefined;
}
