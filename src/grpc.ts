import { type CsdsDefinition, type CsdsImplementation, csdsService } from './xds/csds/index.js';
import type { Mesh } from './mesh/mesh.js';

export { meshServerInterceptor } from './server/grpc.js';
export type { InboundOptions } from './server/inbound.js';
export {
  type OrcaDefinition,
  type OrcaImplementation,
  orcaService,
  type OrcaServiceOptions,
} from './server/orca/service.js';
export { XdsServer } from './server/xds/grpc-server.js';

/**
 * The Client Status Discovery Service (gRFC A40) for a grpc-js server: what the mesh has of each resource, for grpcdebug and others.
 *
 * ```ts
 * server.addService(...csds(mesh));
 * ```
 */
export const csds = (mesh: Mesh): [CsdsDefinition, CsdsImplementation] => csdsService(() => mesh.resources());
