import {
  type CircuitLimitsConfig,
  DEFAULT_CIRCUIT_LIMITS,
  DEFAULT_RETRY_BUDGET,
  type RetryBudgetConfig,
} from '../../core/model/cluster.js';
import type { Message } from './message.js';
import { filterMetadata } from './struct.js';

/** `CircuitBreakers.per_host_thresholds`; what it limits is not counted here, as an endpoint has as many connections as its calls need. */
export function checkPerHostLimits(cluster: Message): void {
  // "A value of 0 will be rejected at resource validation time." - A105
  const limits = thresholdsOf(cluster, 'per_host_thresholds');
  if (limits?.uint32Value('max_connections') === 0)
    throw limits.error('max_connections', 'must be greater than 0 (gRFC A105)');
}

/**
 * `cluster.v3.CircuitBreakers`: the first threshold of DEFAULT priority (gRFC A32), for all calls. Without `max_retries`, or with
 * Envoy's `retry_budget` in its place, retries under way are not counted: the retry budget decides alone.
 */
export function circuitLimits(cluster: Message): CircuitLimitsConfig {
  const thresholds = thresholdsOf(cluster, 'thresholds');
  if (thresholds === undefined) return DEFAULT_CIRCUIT_LIMITS;
  return {
    maxConnections: thresholds.uint32Value('max_connections') ?? DEFAULT_CIRCUIT_LIMITS.maxConnections,
    maxPendingRequests: thresholds.uint32Value('max_pending_requests') ?? DEFAULT_CIRCUIT_LIMITS.maxPendingRequests,
    maxRequests: thresholds.uint32Value('max_requests') ?? DEFAULT_CIRCUIT_LIMITS.maxRequests,
    maxRetries: thresholds.has('retry_budget') ? undefined : thresholds.uint32Value('max_retries'),
  };
}

/**
 * Our budget is `filter_metadata["inmesh.dev"].retry_budget`; ratio 0 to 1000, retries per second 0 to 1e6, ttl 1 s to 60 s. For a
 * control plane that only knows Envoy's `retry_budget`, its percentage is taken as the ratio: the nearest that there is, though
 * Envoy counts active requests and we count recent ones.
 */
export function retryBudget(cluster: Message): RetryBudgetConfig {
  const own = filterMetadata(cluster, 'inmesh.dev')?.nested('retry_budget');
  if (own !== undefined) {
    return {
      retryRatio: own.number('retry_ratio', 0, 1_000, DEFAULT_RETRY_BUDGET.retryRatio),
      minRetriesPerSecond: own.number('min_retries_per_second', 0, 1e6, DEFAULT_RETRY_BUDGET.minRetriesPerSecond),
      ttlMs: own.number('ttl_ms', 1_000, 60_000, DEFAULT_RETRY_BUDGET.ttlMs),
    };
  }
  const percent = thresholdsOf(cluster, 'thresholds')?.message('retry_budget')?.message('budget_percent');
  if (percent === undefined) return DEFAULT_RETRY_BUDGET;
  const value = percent.double('value');
  if (value < 0 || value > 100) throw percent.error('value', `must be from 0 to 100, got ${value}`);
  return { ...DEFAULT_RETRY_BUDGET, retryRatio: value / 100 };
}

/** "gRPC will look only at the first entry for priority DEFAULT" - A105; A32 says the same. */
function thresholdsOf(cluster: Message, field: 'thresholds' | 'per_host_thresholds'): Message | undefined {
  return cluster
    .message('circuit_breakers')
    ?.messages(field)
    .find((thresholds) => thresholds.choice('priority', ['DEFAULT', 'HIGH']) === 'DEFAULT');
}
