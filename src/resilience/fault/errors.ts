import { MeshError, type Reached } from '../../core/errors.js';

/**
 * A connection cut on purpose: before anything was sent (`reset`), or in the middle of the reply's body (`truncate`). It looks like a lost connection and is
 * told from one by its code, so that nobody goes looking for a broken cable.
 */
export class FaultInjectedError extends MeshError {
  override readonly name = 'FaultInjectedError';
  readonly code = 'FAULT_INJECTED';
  readonly origin = 'mesh';
  readonly flag = 'FI';
  /** UNAVAILABLE, what a lost connection is to a gRPC caller. */
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  readonly reached: Reached;
  constructor(
    /** Name of the policy that asked for it. */
    readonly policy: string,
    readonly fault: 'reset' | 'truncate',
  ) {
    super(
      fault === 'reset'
        ? `the connection was cut on purpose, before the request was sent: fault injection by "${policy}"`
        : `the reply was broken off on purpose: fault injection by "${policy}"`,
    );
    this.reached = fault === 'reset' ? 'no' : 'yes';
  }
}
