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
  constructor(
    readonly cluster: string,
    message = `cluster "${cluster}" has no usable endpoint: are its instances running and listed?`,
  ) {
    super(message);
  }
}

/** The one endpoint that the call may go to, as its session is strict, is gone or may not be used. */
export class SessionGoneError extends NoEndpointError {
  constructor(
    cluster: string,
    readonly endpoint: string | undefined,
  ) {
    super(
      cluster,
      `cluster "${cluster}": the session is at endpoint ${endpoint}, which is gone or not usable, and is strict; a call without the session's cookie or header starts another`,
    );
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
