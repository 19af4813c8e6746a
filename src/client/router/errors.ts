import { MeshError } from '../../core/errors.js';

/** The destination is known, but no route takes this call. */
export class NoRouteError extends MeshError {
  override readonly name = 'NoRouteError';
  readonly code = 'NO_ROUTE';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'NR';
  readonly grpcStatus = 14;
  readonly httpStatus = 404;
}
