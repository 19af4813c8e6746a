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

/** Why a call that waits for ready cannot go on yet: its cluster is in trouble. Told to the destination, which lets it wait; nobody else sees it. */
export class ClusterTrouble extends Error {
  override readonly name = 'ClusterTrouble';
  constructor(readonly trouble: MeshError) {
    super(trouble.message);
  }
}
