import { delimiter } from 'node:path';
import { DecodeError } from '../core/decode.js';
import { checkXds, type MeshOptions } from './options.js';

/**
 * The options with the source of configuration that the environment names, where they name none: INMESH_CONFIG (files or folders, separated as in PATH) or INMESH_XDS
 * (`host:port`). Empty ones say nothing. Before a gRPC bootstrap (GRPC_XDS_BOOTSTRAP), which may be there for others. Throws DecodeError.
 */
export function withEnvironment(options: MeshOptions, env: Readonly<NodeJS.ProcessEnv>): MeshOptions {
  const { services, config, xds } = options;
  if (services !== undefined || config !== undefined || xds !== undefined) return options;
  const { INMESH_CONFIG: files, INMESH_XDS: controlPlane } = env;
  if (files && controlPlane)
    throw new DecodeError('environment', 'INMESH_CONFIG and INMESH_XDS are both set: give only one of them');
  if (files) return { ...options, config: files.split(delimiter).filter((path) => path !== '') };
  if (!controlPlane) return options;
  checkXds(controlPlane, 'INMESH_XDS');
  return { ...options, xds: controlPlane };
}
