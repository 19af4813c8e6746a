import type { Call } from '../../core/call.js';
import { classifyError, grpcStatusOf } from '../../core/classify.js';
import type { MeshError } from '../../core/errors.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { AttemptMonitor } from '../endpoints/endpoint.js';

/** HTTP statuses of gRPC's, from 0 on (Envoy `Grpc::Utility::grpcToHttpStatus`); of others, 500. */
const HTTP_OF_GRPC = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const;
const INTERNAL_SERVER_ERROR = 500;

export const grpcToHttpStatus = (status: number): number => HTTP_OF_GRPC[status] ?? INTERNAL_SERVER_ERROR;

/**
 * Tells the monitor of an attempt that had a reply, at its end. HTTP succeeds below 500 (Envoy); gRPC by the status OK alone (gRFC A50), while rows of
 * failures count what the status maps to (Envoy). A reply that broke off failed, by whatever broke it.
 */
export function replyEnded(monitor: AttemptMonitor, call: Call, reply: Reply, end: ReplyEnd, now: number): void {
  if (call.protocol === 'http') {
    if (reply.status >= 500) monitor.finished('failure', reply.status, false, now);
    else if (end.error === undefined) monitor.finished('success', reply.status, false, now);
    else attemptFailed(monitor, end.error, now);
    return;
  }
  const status = grpcStatusOf(reply, end);
  if (status !== undefined)
    monitor.finished(status === 0 ? 'success' : 'failure', grpcToHttpStatus(status), false, now);
  else if (end.error !== undefined) attemptFailed(monitor, end.error, now);
  // No status of its own: the answer of a proxy, or a server that breaks the protocol.
  else monitor.finished('failure', reply.status === 200 ? INTERNAL_SERVER_ERROR : reply.status, false, now);
}

/** Tells the monitor of an attempt that had no reply, or only part of one. What says nothing of the server is not told. */
export function attemptFailed(monitor: AttemptMonitor, error: MeshError, now: number): void {
  if (classifyError(error) !== 'failure') return;
  // Envoy's local origin: "events which occur at the local node" - connections that fail, and timeouts.
  if (error.origin === 'network' || error.code === 'DEADLINE_EXCEEDED')
    monitor.finished('failure', undefined, true, now);
  else monitor.finished('failure', error.httpStatus, false, now);
}
