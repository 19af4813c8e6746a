import { grpcStatusOfHttp } from '../../core/grpc-status.js';
import { headerFields } from '../../core/headers.js';
import type { LimitDecision } from '../../core/limits.js';
import type { RouteLimits } from '../../core/model/limit.js';
import { limitHeaders, type Said, seconds } from './headers.js';

/** Why a request is refused, and by which rule. */
export interface Refusal {
  readonly rule: string;
  readonly reason: 'limit' | 'queue-full' | 'store';
  /** What the rule's count says; undefined: nothing is known. */
  readonly said: Said | undefined;
  /** Infinity: it will not be let through later either. Undefined: nobody knows. */
  readonly retryAfterMs: number | undefined;
}

/** What a refused request is answered with. */
export function refusedVerdict(
  limits: RouteLimits,
  refusal: Refusal,
  said: readonly Said[],
  wallTime: () => number,
): Extract<LimitDecision, { kind: 'refused' }> {
  const { rule, reason } = refusal;
  const retryAfterMs = refusal.retryAfterMs === Number.POSITIVE_INFINITY ? undefined : refusal.retryAfterMs;
  const headers =
    refusal.said === undefined
      ? headerFields()
      : (limitHeaders(limits.headers, said, wallTime, refusal.said) ?? headerFields());
  // Envoy's filter says them where a limit is passed, and not where nobody could be asked.
  if (reason !== 'store') {
    if (limits.headers.xEnvoyRateLimited) headers['x-envoy-ratelimited'] = 'true';
    for (const { name, value } of limits.refusalHeaders ?? []) headers[name] = value;
  }
  // RFC 9110 section 10.2.3: whole seconds; 0 would say to come back at once.
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.max(1, seconds(retryAfterMs)));
  const failed = reason === 'store' ? limits.failureStatus : undefined;
  return {
    kind: 'refused',
    rule,
    flag: reason === 'store' ? 'RLSE' : 'RL',
    status: failed ?? limits.status,
    grpcStatus: failed === undefined ? limits.grpcStatus : grpcStatusOfHttp(failed),
    retryAfterMs,
    headers,
  };
}
