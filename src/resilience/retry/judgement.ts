import type { Call } from '../../core/call.js';
import type { MeshError } from '../../core/errors.js';
import { isRepeatable } from '../../core/idempotency.js';
import type { RetryCondition, RetryConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import { resends, retriableError, retriableReply } from './conditions.js';
import { compilePolicy, type HeaderTests } from './policy.js';
import { isForRetry } from './retry.js';
import { type WaitEnv, Waits } from './wait.js';

/** What a retry policy says of attempts, for those who make them by another plan than one after the other. */
export interface Judgement {
  /** Whether the call may be sent more than once. */
  repeatable(call: Call): boolean;
  /** Whether it may be sent again on another connection when it was lost with a pooled one. */
  resendable(call: Call): boolean;
  /** Why another attempt may do better; undefined: this stands. */
  reply(call: Call, reply: Reply): RetryCondition | undefined;
  error(call: Call, error: MeshError): RetryCondition | undefined;
  /** The waits after failures of one call. */
  waits(call: Call): Pick<Waits, 'next'>;
}

export function judgement(config: RetryConfig, env: WaitEnv & { readonly headers: HeaderTests }): Judgement {
  const policy = compilePolicy(config, env.headers);
  return {
    repeatable: (call) =>
      isRepeatable(call, policy.regardlessOfMethod) && policy.takes?.(call) !== false && !isForRetry(call),
    resendable: (call) => resends(policy, call),
    reply: (call, reply) => retriableReply(policy, call, reply),
    error: (call, error) => retriableError(policy, call, error),
    waits: (call) => new Waits(policy, call.protocol, env),
  };
}
