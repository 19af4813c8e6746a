import { ConfigUnavailableError, type MeshError } from '../core/errors.js';
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
    'mesh.serve takes the configuration of an address from a control plane: give the mesh one by the option xds, INMESH_XDS or GRPC_XDS_BOOTSTRAP, or serve by ' +
      'the name of a service',
  );

/** A server that is to be secured, where nobody ever says how: it would serve in plain text, which is not what was asked for. */
export const noMode = (service: string | undefined): MeshError =>
  new ConfigUnavailableError(
    `mesh.secure: no configuration says whether ${service ?? 'this server'} asks for mutual TLS: set INMESH_XDS or INMESH_CONFIG, or give meshClient the option xds or ` +
      'config, or mesh.secure the option mode',
  );
