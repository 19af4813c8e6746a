import type { Call } from './call.js';
import type { MeshError } from './errors.js';
import type { Reply, ReplyEnd } from './reply.js';

/** What a reply says about the server: `ignored` says nothing (the caller gave up, we refused it ourselves). */
export type Outcome = 'success' | 'failure' | 'ignored';

/** gRPC statuses that tell of trouble at the server, not of a mistake in the request (Linkerd's default, grpc-status 2 4 8 13 14 15). */
const GRPC_FAILURES = new Set([2, 4, 8, 12, 13, 14, 15]);

/** The gRPC status of a reply: trailers first, then the head (trailers-only), else undefined. */
export function grpcStatusOf(reply: Reply, end: ReplyEnd | undefined): number | undefined {
  const text = end?.trailers?.['grpc-status'] ?? reply.headers['grpc-status'];
  if (typeof text !== 'string') return undefined;
  const status = Number(text);
  return Number.isInteger(status) && status >= 0 ? status : undefined;
}

/**
 * Success is defined in this file and nowhere else. Judges a call that failed without a reply, by what that says of the server: what we
 * refused ourselves, or had no time left to send, says nothing.
 */
export function classifyError(error: MeshError): Outcome {
  if (error.origin === 'mesh' || isCallers(error)) {
    return error.code === 'DEADLINE_EXCEEDED' && error.reached !== 'no' ? 'failure' : 'ignored';
  }
  return 'failure';
}

/** The same by what the caller got: everything is a failure but what the caller broke off. */
export function classifyForCaller(error: MeshError): Outcome {
  return isCallers(error) ? 'ignored' : 'failure';
}

/** The caller broke off, or what it gave cannot be sent: neither the server's doing nor ours. */
export function isCallers({ code }: MeshError): boolean {
  return code === 'CANCELLED' || code === 'REQUEST_BODY_FAILED' || code === 'REQUEST_INVALID';
}

/** Whether an HTTP status tells of trouble at the server: 5xx and 429. */
export const isHttpFailure = (status: number): boolean => status >= 500 || status === 429;

/** Whether a gRPC status does. */
export const isGrpcFailure = (status: number): boolean => GRPC_FAILURES.has(status);

/** Whether a head tells of a failure already: of gRPC one that is all there is of the reply, and one that is not gRPC's. */
export function failedHead(call: Call, reply: Reply): boolean {
  if (call.protocol === 'http') return isHttpFailure(reply.status);
  const status = grpcStatusOf(reply, undefined);
  return status === undefined ? reply.status !== 200 : isGrpcFailure(status);
}

/** Judges a reply at its end. HTTP: 5xx and 429 are the server's failures. gRPC: by status, a missing one is a failure. */
export function classifyReply(call: Call, reply: Reply, end: ReplyEnd): Outcome {
  // A head that tells of a failure does so however its body ended.
  const failedHead = call.protocol === 'http' && isHttpFailure(reply.status);
  if (end.error !== undefined) return failedHead ? 'failure' : classifyError(end.error);
  if (call.protocol === 'grpc') {
    const status = grpcStatusOf(reply, end);
    return status !== undefined && !isGrpcFailure(status) ? 'success' : 'failure';
  }
  return failedHead ? 'failure' : 'success';
}
