import { MeshError, type Reached } from '../../core/errors.js';

/** The time allowed for the call has passed. */
export class DeadlineExceededError extends MeshError {
  override readonly name = 'DeadlineExceededError';
  readonly code = 'DEADLINE_EXCEEDED';
  readonly origin = 'mesh';
  readonly grpcStatus = 4;
  readonly httpStatus = 504;
  /** `MD` when the time was up before anything was sent, else Envoy's `UT`. */
  readonly flag: 'MD' | 'UT';
  constructor(
    message: string,
    readonly reached: Reached,
  ) {
    super(message);
    this.flag = reached === 'no' ? 'MD' : 'UT';
  }
}

/** One attempt took longer than the per-try timeout, or stood still for longer than the per-try idle timeout; the call's own deadline may leave time for another. */
export class AttemptTimeoutError extends MeshError {
  override readonly name = 'AttemptTimeoutError';
  readonly code = 'DEADLINE_EXCEEDED';
  readonly origin = 'mesh';
  readonly reached = 'maybe';
  readonly flag = 'UT';
  readonly grpcStatus = 4;
  readonly httpStatus = 504;
  constructor(
    readonly timeoutMs: number,
    message = `no reply within the per-try timeout of ${timeoutMs} ms (per_try_timeout, timeouts.backendRequest)`,
  ) {
    super(message);
  }
}
