import { MeshError } from '../core/errors.js';

/** The configuration has mistakes; the message lists all of them. Nothing from before can serve in its place. */
export class ConfigInvalidError extends MeshError {
  override readonly name = 'ConfigInvalidError';
  readonly code = 'CONFIG_INVALID';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'NC';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
}
