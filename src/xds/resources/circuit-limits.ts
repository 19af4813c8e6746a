import {
  type CircuitLimitsConfig,
  DEFAULT_CIRCUIT_LIMITS,
  type PriorityLimits,
} from '../../core/model/circuit-limits.js';
import { DEFAULT_RETRY_BUDGET, type RetryBudgetConfig } from '../../core/model/retry-budget.js';
import type { Message } from './message.js';
import { percentShare } from './percent.js';
import { filterMetadata, OWN_METADATA } from './struct.js';

/** "If unspecified, defaults to 20%", and "defaults to 3" - circuit_breaker.proto, RetryBudget */
const DEFAULT_BUDGET_SHARE = 0.2;
const DEFAULT_BUDGET_CONCURRENCY = 3;

/** `CircuitBreakers.per_host_thresholds`; what it limits is not counted here, as an endpoint has as many connections as its calls need. */
export function checkPerHostLimits(cluster: Message): void {
  // "A value of 0 will be rejected at resource validation time." - A105
  const limits = thresholdsOf(cluster, 'per_host_thresholds', 'DEFAULT');
  if (limits?.uint32Value('max_connections') === 0)
    throw limits.error('max_connections', 'must be greater than 0 (gRFC A105)');
}

/**
 * `cluster.v3.CircuitBreakers`: the first threshold of DEFAULT priority (gRFC A32), and the first of HIGH for calls of that priority (Envoy).
 * Without `max_retries`, retries under way are not counted: the retry budget decides alone. `filter_metadata["inmesh.dev"].batch_share` is in [0, 1].
 */
export function circuitLimits(cluster: Message): CircuitLimitsConfig {
  const thresholds = thresholdsOf(cluster, 'thresholds', 'DEFAULT');
  const high = thresholdsOf(cluster, 'thresholds', 'HIGH');
  const own = filterMetadata(cluster, OWN_METADATA);
  if (thresholds === undefined && high === undefined && !own?.has('batch_share')) return DEFAULT_CIRCUIT_LIMITS;
  return {
    maxConnections: thresholds?.uint32Value('max_connections') ?? DEFAULT_CIRCUIT_LIMITS.maxConnections,
    ...priorityLimits(thresholds),
    // Ours is the more exact word of a control plane that knows both: then Envoy's is for those that do not.
    activeRetryBudget: own?.has('retry_budget') ? undefined : activeRetryBudget(thresholds),
    high: high === undefined ? undefined : priorityLimits(high),
    batchShare: own?.has('batch_share') ? own.number('batch_share', 0, 1, 0) : undefined,
  };
}

/** `retry_budget` takes the place of `max_retries`: "the retry budget will override any configured retry circuit breaker" - circuit_breaker.proto. That of HIGH it is not counted apart. */
function priorityLimits(thresholds: Message | undefined): PriorityLimits {
  return {
    maxPendingRequests: thresholds?.uint32Value('max_pending_requests') ?? DEFAULT_CIRCUIT_LIMITS.maxPendingRequests,
    maxRequests: thresholds?.uint32Value('max_requests') ?? DEFAULT_CIRCUIT_LIMITS.maxRequests,
    maxRetries: thresholds?.has('retry_budget') ? undefined : thresholds?.uint32Value('max_retries'),
  };
}

/** `Thresholds.RetryBudget`: of calls under way. */
function activeRetryBudget(thresholds: Message | undefined): CircuitLimitsConfig['activeRetryBudget'] {
  const budget = thresholds?.message('retry_budget');
  if (budget === undefined) return undefined;
  return {
    share: percentShare(budget, 'budget_percent') ?? DEFAULT_BUDGET_SHARE,
    minConcurrency: budget.uint32Value('min_retry_concurrency') ?? DEFAULT_BUDGET_CONCURRENCY,
  };
}

/**
 * Our budget is by time, which Envoy has no field for: `filter_metadata["inmesh.dev"].retry_budget`; ratio 0 to 1000, retries per second 0 to 1e6, ttl
 * 1 s to 60 s.
 */
export function retryBudget(cluster: Message): RetryBudgetConfig {
  const own = filterMetadata(cluster, OWN_METADATA)?.nested('retry_budget');
  if (own === undefined) return DEFAULT_RETRY_BUDGET;
  return {
    retryRatio: own.number('retry_ratio', 0, 1_000, DEFAULT_RETRY_BUDGET.retryRatio),
    minRetriesPerSecond: own.number('min_retries_per_second', 0, 1e6, DEFAULT_RETRY_BUDGET.minRetriesPerSecond),
    ttlMs: own.number('ttl_ms', 1_000, 60_000, DEFAULT_RETRY_BUDGET.ttlMs),
  };
}

/** "gRPC will look only at the first entry for priority DEFAULT" - A105; A32 says the same. */
function thresholdsOf(
  cluster: Message,
  field: 'thresholds' | 'per_host_thresholds',
  priority: 'DEFAULT' | 'HIGH',
): Message | undefined {
  return cluster
    .message('circuit_breakers')
    ?.messages(field)
    .find((thresholds) => thresholds.choice('priority', ['DEFAULT', 'HIGH']) === priority);
}
