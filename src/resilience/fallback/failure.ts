import type { Call } from '../../core/call.js';
import { grpcStatusOf, isCallers } from '../../core/classify.js';
import type { MeshError } from '../../core/errors.js';
import { grpcStatusName } from '../../core/grpc-status.js';
import type { Reply } from '../../core/reply.js';

/** A call that is over, retries and all, without an answer: with the error, or with the reply that stands when nothing stands in for it. */
export interface Failure {
  /** The error's code, the HTTP status or the name of the gRPC status. */
  readonly reason: string;
  readonly error: MeshError | undefined;
  readonly reply: Reply | undefined;
  /** What the call asked for, as it came to us (`StaleKind.asked`); undefined when nothing is kept of such calls. */
  readonly key: string | undefined;
}

const UNAVAILABLE = 14;

/**
 * Why something must stand in for a reply with this head, or undefined when it is an answer. Statuses that say that nobody answered: 502, 503 and 504, and
 * UNAVAILABLE where a reply is nothing but its status. A 500 is an answer of the service.
 */
export function failedReply(call: Call, reply: Reply): string | undefined {
  const { status } = reply;
  if (status >= 502 && status <= 504) return String(status);
  if (call.protocol !== 'grpc') return undefined;
  return grpcStatusOf(reply, undefined) === UNAVAILABLE ? grpcStatusName(UNAVAILABLE) : undefined;
}

/** Whether something must stand in for a call that failed so. Not when it was the caller's doing, or ours who close, or asked too much at once. */
export const isFailure = (call: Call, error: MeshError): boolean =>
  !isCallers(error) &&
  error.code !== 'MESH_CLOSED' &&
  error.code !== 'MESSAGE_TOO_LARGE' &&
  (call.cancellation.reason === undefined || !isCallers(call.cancellation.reason));
