import { DEFAULT_PROVIDER } from '../../core/identity.js';
import type { DownstreamTls } from '../../core/model/tls.js';

/** Under the mesh's own identity; callers must show one that its trust vouches for. */
export const MESH_TLS: DownstreamTls = {
  identity: DEFAULT_PROVIDER,
  roots: { kind: 'provider', instance: DEFAULT_PROVIDER },
  requireClientCertificate: true,
};
