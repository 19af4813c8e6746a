import { MeshError } from '../../core/errors.js';

/** The cluster has no endpoint that could take the call. */
export class NoEndpointError extends MeshError {
  override readonly name = 'NoEndpointError';
  readonly code = 'NO_ENDPOINT';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'UH';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(readonly cluster: string) {
    super(`cluster "${cluster}" has no usable endpoint: are its instances running and listed?`);
  }
}

/** Configuration asks to drop a share of the calls (EDS `drop_overloads`). */
export class DroppedError extends MeshError {
  override readonly name = 'DroppedError';
  readonly code = 'CIRCUIT_OPEN';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'UO';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly cluster: string,
    readonly category: string,
  ) {
    super(`cluster "${cluster}": dropped by the control plane's drop_overloads category "${category}"`);
  }
}
