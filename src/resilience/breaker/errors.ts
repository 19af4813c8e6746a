import { MeshError } from '../../core/errors.js';

/** The breaker of the destination is open, or its probes are under way: the call is refused at once, nothing was sent. */
export class BreakerOpenError extends MeshError {
  override readonly name = 'BreakerOpenError';
  readonly code = 'BREAKER_OPEN';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'MC';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly cluster: string,
    /** Milliseconds until calls probe; 0 while they do. */
    readonly retryAfterMs: number,
  ) {
    const when = retryAfterMs === 0 ? 'a probe is under way' : `it is tried again in ${Math.ceil(retryAfterMs)} ms`;
    super(`cluster "${cluster}": its breaker is open, too many calls have failed; ${when}`);
  }
}
