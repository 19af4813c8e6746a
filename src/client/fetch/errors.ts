import { CancelledError, MeshError } from '../../core/errors.js';

/**
 * What `fetch` rejects with when there is no reply: a TypeError, as the standard has it, so that code written for fetch goes on
 * working, with the mesh's code on it and the MeshError as its cause.
 */
export class FetchError extends TypeError {
  /** The code of the cause, one of ERROR_CODES; undefined when fetch itself refused (a redirect too many, an integrity mismatch). */
  readonly code: string | undefined;
  constructor(message: string, cause: Error) {
    super(message, { cause });
    this.code = cause instanceof MeshError ? cause.code : undefined;
  }
}

/** The application's AbortSignal fired. Readers get the signal's own reason, the mesh this. */
export class AbortedError extends CancelledError {
  constructor(readonly signalReason: unknown) {
    super('the AbortSignal given to fetch was aborted', 'maybe', { cause: signalReason });
  }
}

/** A compressed reply that grows beyond reason. */
export class ReplyTooLargeError extends MeshError {
  override readonly name = 'ReplyTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';
  readonly origin = 'workload';
  readonly reached = 'yes';
  readonly flag = 'UPE';
  readonly grpcStatus = 8;
  readonly httpStatus = 502;
}

/** A compressed reply that cannot be decompressed. */
export class ReplyDecodeError extends MeshError {
  override readonly name = 'ReplyDecodeError';
  readonly code = 'PROTOCOL_ERROR';
  readonly origin = 'workload';
  readonly reached = 'yes';
  readonly flag = 'UPE';
  readonly grpcStatus = 13;
  readonly httpStatus = 502;
}

/** How a failure before the head looks to who called fetch. */
export const failedFetch = (error: unknown): unknown =>
  error instanceof AbortedError ? error.signalReason : new FetchError('fetch failed', asError(error));

/** How a failure within the body looks to who reads it. */
export const brokenBody = (error: unknown): unknown =>
  error instanceof AbortedError ? error.signalReason : new FetchError('terminated', asError(error));

const asError = (value: unknown): Error => (value instanceof Error ? value : new Error(String(value)));
