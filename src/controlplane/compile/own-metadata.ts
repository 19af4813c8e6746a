import { DEFAULT_RETRY_BUDGET } from '../../core/model/retry-budget.js';
import type { Resource } from '../../core/resources.js';
import type { BreakerSpec } from '../yaml/schema/breaker.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { isStandIn } from './circuit-breakers.js';
import { type Plain, struct } from './proto.js';

/** Key of what only inmesh reads, in metadata. */
export const OWN_METADATA = 'inmesh.dev';

type Own = { readonly [key: string]: Plain };

/**
 * What no field of `Cluster` is for: a retry budget by time, where Envoy's `retry_budget` counts calls under way; A17's health watch, of gRPC's service
 * config; connections that are open before there are calls, which Envoy has only as ratios; shares of priorities, breakers and fallbacks.
 */
export function ownMetadata(policy: TrafficPolicySpec | undefined, fallbacks: readonly Plain[]): Resource {
  const { warmConnections: warm, batchPercent: batch } = policy?.connectionPool ?? {};
  const budget = retryBudget(policy);
  return inMetadata({
    ...(budget !== undefined && { retry_budget: budget }),
    ...(batch !== undefined && { batch_share: batch / 100 }),
    ...(policy?.breaker !== undefined && { breaker: breaker(policy.breaker) }),
    ...(fallbacks.length > 0 && { fallback: fallbacks }),
    ...(warm !== undefined && { warm_connections: warm }),
    ...(policy?.healthWatch !== undefined && { health_watch: { service: policy.healthWatch.service } }),
  });
}

/** `metadata` with this in it; nothing when there is nothing. */
export const inMetadata = (own: Own): Resource =>
  Object.keys(own).length === 0 ? {} : { metadata: { filter_metadata: { [OWN_METADATA]: struct(own) } } };

/** Also where Envoy's only stands in for it: it would count otherwise. */
function retryBudget(policy: TrafficPolicySpec | undefined): Own | undefined {
  if (policy?.retryConstraint !== undefined) {
    const { budget, minRetryRate } = policy.retryConstraint;
    return {
      retry_ratio: budget.percent / 100,
      min_retries_per_second: (minRetryRate.count * 1_000) / minRetryRate.interval,
      ttl_ms: budget.interval,
    };
  }
  if (policy === undefined || !isStandIn(policy)) return undefined;
  const { retryRatio, minRetriesPerSecond, ttlMs } = DEFAULT_RETRY_BUDGET;
  return { retry_ratio: retryRatio, min_retries_per_second: minRetriesPerSecond, ttl_ms: ttlMs };
}

const breaker = ({ consecutiveFailures, successRate, ...rest }: BreakerSpec): Own => ({
  consecutive_failures: consecutiveFailures,
  success_rate: {
    threshold: successRate.percent / 100,
    window_ms: successRate.window,
    min_requests: successRate.minimumRequests,
    buckets: successRate.buckets,
  },
  base_penalty_ms: rest.basePenalty,
  max_penalty_ms: rest.maxPenalty,
  jitter: rest.jitterPercent / 100,
  probes: rest.probes,
});
