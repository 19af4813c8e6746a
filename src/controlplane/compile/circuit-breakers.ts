import { DEFAULT_RETRY_BUDGET } from '../../core/model/retry-budget.js';
import type { Resource } from '../../core/resources.js';
import type { ConnectionPoolSpec } from '../yaml/schema/connection-pool.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { wrapped } from './proto.js';

/** `Cluster.circuit_breakers`: for calls of priority DEFAULT, and for those of HIGH when they have limits of their own. */
export function circuitBreakers(policy: TrafficPolicySpec | undefined): Resource {
  const pool = policy?.connectionPool;
  if (pool === undefined && policy?.retryConstraint === undefined) return {};
  const standIn = policy?.retryConstraint?.budget.percent ?? DEFAULT_RETRY_BUDGET.retryRatio * 100;
  const usual = {
    priority: 'DEFAULT',
    ...(pool?.maxConnections !== undefined && { max_connections: wrapped(pool.maxConnections) }),
    ...limits(pool, standIn),
  };
  const thresholds = pool?.high === undefined ? [usual] : [usual, { priority: 'HIGH', ...limits(pool.high, standIn) }];
  return { circuit_breakers: { thresholds } };
}

/** Whether Envoy's retry budget is there only so that its default of 3 retries does not hold. */
export const isStandIn = ({ connectionPool: pool, retryConstraint }: TrafficPolicySpec): boolean =>
  (pool !== undefined || retryConstraint !== undefined) &&
  pool?.maxRetries === undefined &&
  pool?.retryBudget === undefined;

type Limits = Pick<ConnectionPoolSpec, 'maxPendingRequests' | 'maxRequests' | 'maxRetries' | 'retryBudget'>;

function limits(pool: Limits | undefined, standIn: number): Resource {
  return {
    ...(pool?.maxPendingRequests !== undefined && { max_pending_requests: wrapped(pool.maxPendingRequests) }),
    ...(pool?.maxRequests !== undefined && { max_requests: wrapped(pool.maxRequests) }),
    ...(pool?.maxRetries !== undefined
      ? { max_retries: wrapped(pool.maxRetries) }
      : { retry_budget: retryBudget(pool?.retryBudget, standIn) }),
  };
}

const retryBudget = (given: ConnectionPoolSpec['retryBudget'], standIn: number): Resource => ({
  budget_percent: { value: given?.percent ?? standIn },
  ...(given !== undefined && { min_retry_concurrency: wrapped(given.minRetryConcurrency) }),
});
