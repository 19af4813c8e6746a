import type { MeshError } from '../core/errors.js';
import { NoServerConfigError, type WatchServer } from '../core/server-config.js';
import type { MeshSource } from './source.js';

/** The configuration of servers, as far as a source has any. */
export const serversOf =
  (source: MeshSource): WatchServer =>
  (server, watcher) => {
    if (source.watchServer !== undefined) return source.watchServer(server, watcher);
    watcher.failed(noServers());
    return () => {};
  };

/** What a server is told that has nobody to configure it. */
export const noServers = (): MeshError =>
  new NoServerConfigError(
    'mesh.serve takes the configuration of an address from a control plane: give the mesh one by the option xds or by GRPC_XDS_BOOTSTRAP, or serve by the ' +
      'name of a service',
  );
