import type { Call } from '../../core/call.js';
import { grpcStatusOf, isCallers } from '../../core/classify.js';
import { type MeshError, refusedUnseen } from '../../core/errors.js';
import { isRepeatable } from '../../core/idempotency.js';
import type { RetryCondition } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import type { RetryPolicy } from './policy.js';

/** gRPC statuses that `retry_on` can name (Envoy `x-envoy-retry-grpc-on`, gRFC A44). */
const GRPC_CONDITIONS: Readonly<Record<number, RetryCondition>> = {
  1: 'cancelled',
  4: 'deadline-exceeded',
  8: 'resource-exhausted',
  13: 'internal',
  14: 'unavailable',
};

/** The condition under which a reply with this head is to be tried again, or undefined when it stands. */
export function retriableReply(config: RetryPolicy, call: Call, reply: Reply): RetryCondition | undefined {
  const condition = conditionOfReply(config, call, reply);
  if (condition === undefined || config.takes?.(call) === false) return undefined;
  // The server answered: it may have done the work.
  return isRepeatable(call, config.regardlessOfMethod) ? condition : undefined;
}

function conditionOfReply(policy: RetryPolicy, call: Call, reply: Reply): RetryCondition | undefined {
  const { on, statusCodes, retriable } = policy;
  const { status } = reply;
  // "We retry these only when the envoy-ratelimited policy is in effect." - Envoy, retry_state_impl.cc
  if (reply.headers['x-envoy-ratelimited'] !== undefined)
    return on.has('envoy-ratelimited') ? 'envoy-ratelimited' : undefined;
  if (call.protocol === 'grpc') {
    // Only a trailers-only reply shows its status here; once a gRPC head has come the call is committed (gRFC A6).
    const grpcStatus = grpcStatusOf(reply, undefined);
    if (grpcStatus !== undefined) {
      const condition = GRPC_CONDITIONS[grpcStatus];
      if (condition !== undefined && on.has(condition)) return condition;
      return retriable?.(reply) ? 'retriable-headers' : undefined;
    }
    if (status === 200) return undefined;
  }
  if (on.has('5xx') && status >= 500) return '5xx';
  if (on.has('gateway-error') && status >= 502 && status <= 504) return 'gateway-error';
  if (on.has('retriable-4xx') && status === 409) return 'retriable-4xx';
  if (on.has('retriable-status-codes') && statusCodes.has(status)) return 'retriable-status-codes';
  return retriable?.(reply) ? 'retriable-headers' : undefined;
}

/** The condition under which a call that failed without a reply is to be tried again, or undefined when it is over. */
export function retriableError(config: RetryPolicy, call: Call, error: MeshError): RetryCondition | undefined {
  const { on } = config;
  // Nobody waits any more, or we refused it ourselves: another attempt would meet the same.
  if (call.cancellation.cancelled || (error.origin === 'mesh' && error.name !== 'AttemptTimeoutError'))
    return undefined;
  if (refusedUnseen(error)) return 'refused-stream';
  if (on.size === 0) return undefined;
  if (isCallers(error) || config.takes?.(call) === false) return undefined;
  // It provably never reached the server, so it is safe for every method.
  if (error.reached === 'no') return 'connect-failure';
  const condition = conditionOfError(on, call, error);
  return isRepeatable(call, config.regardlessOfMethod) ? condition : undefined;
}

/** Whether the policy would have a call sent again that was lost on its way, whatever its method; its caller has not forbidden it. */
export const resends = ({ on, regardlessOfMethod, takes }: RetryPolicy, call: Call): boolean =>
  regardlessOfMethod &&
  isRepeatable(call, true) &&
  (on.has('reset') || on.has('5xx') || on.has('gateway-error')) &&
  takes?.(call) !== false;

function conditionOfError(on: ReadonlySet<RetryCondition>, call: Call, error: MeshError): RetryCondition | undefined {
  if (error.code === 'DEADLINE_EXCEEDED') {
    // Envoy resets the attempt and would answer 504: "does not respond at all (disconnect/reset/read timeout)" - retry_on reset, 5xx.
    if (call.protocol === 'grpc' && on.has('deadline-exceeded')) return 'deadline-exceeded';
  }
  // Envoy's wouldRetryFromReset: any of the three.
  if (on.has('reset')) return 'reset';
  if (on.has('5xx')) return '5xx';
  if (on.has('gateway-error')) return 'gateway-error';
  if (error.code === 'DEADLINE_EXCEEDED') return undefined;
  const grpc = call.protocol === 'grpc' ? GRPC_CONDITIONS[error.grpcStatus] : undefined;
  return grpc !== undefined && on.has(grpc) ? grpc : undefined;
}
