import type { Path, Report } from '../problem.js';
import type { BackendTrafficPolicySpec } from '../schema/backend-traffic-policy.js';
import type { SubsetSpec, TrafficPolicySpec } from '../schema/traffic-policy.js';
import { between, DAY_MS } from './bounds.js';
import { checkBreaker } from './breaker.js';
import { checkFallbacks } from './fallback.js';
import { checkHealthCheck, checkOutlierDetection } from './health.js';
import { checkLoadBalancer } from './load-balancer.js';
import { checkSession } from './session.js';
import { checkTrafficTls } from './traffic-tls.js';

export function checkTrafficPolicy(spec: TrafficPolicySpec, report: Report): void {
  if (spec.loadBalancer !== undefined) checkLoadBalancer(spec.loadBalancer, ['spec', 'loadBalancer'], report);
  checkRetryConstraint(spec.retryConstraint, report);
  checkBreaker(spec.breaker, ['spec', 'breaker'], report);
  checkFallbacks(spec.fallback ?? [], ['spec', 'fallback'], report);
  if (spec.connectionPool?.retryBudget !== undefined && spec.retryConstraint !== undefined)
    report(['spec', 'retryConstraint'], 'cannot be combined with connectionPool.retryBudget: keep one of them');
  between(report, ['spec', 'connectTimeout'], spec.connectTimeout, 1, 3_600_000);
  between(report, ['spec', 'idleTimeout'], spec.idleTimeout, 1, DAY_MS);
  checkSession(spec.sessionPersistence, ['spec', 'sessionPersistence'], report);
  checkConnectionPool(spec.connectionPool, report);
  checkTrafficTls(spec.tls, ['spec', 'tls'], report);
  checkSubsets(spec.subsets ?? [], report);
  if (spec.outlierDetection !== undefined)
    checkOutlierDetection(spec.outlierDetection, ['spec', 'outlierDetection'], report);
  spec.healthChecks?.forEach((check, index) => {
    checkHealthCheck(check, ['spec', 'healthChecks', index], report);
  });
}

export function checkBackendTrafficPolicy(spec: BackendTrafficPolicySpec, report: Report): void {
  checkRetryConstraint(spec.retryConstraint, report);
  checkSession(spec.sessionPersistence, ['spec', 'sessionPersistence'], report);
}

function checkRetryConstraint(retries: TrafficPolicySpec['retryConstraint'], report: Report): void {
  const at = ['spec', 'retryConstraint'];
  // The lower bound is GEP-3388's; the upper one Finagle's, whose budget this is (core/model/cluster.ts).
  between(report, [...at, 'budget', 'interval'], retries?.budget.interval, 1_000, 60_000);
  between(report, [...at, 'minRetryRate', 'interval'], retries?.minRetryRate.interval, 1_000, 3_600_000);
}

function checkConnectionPool(pool: TrafficPolicySpec['connectionPool'], report: Report): void {
  const at = ['spec', 'connectionPool'];
  if (pool?.retryBudget !== undefined && pool.maxRetries !== undefined)
    report([...at, 'maxRetries'], 'cannot be combined with retryBudget: keep one of them');
  between(report, [...at, 'maxConnectionDuration'], pool?.maxConnectionDuration, 1, DAY_MS);
  between(report, [...at, 'http2Keepalive', 'interval'], pool?.http2Keepalive?.interval, 1, DAY_MS);
  between(report, [...at, 'http2Keepalive', 'timeout'], pool?.http2Keepalive?.timeout, 1, DAY_MS);
}

function checkSubsets(subsets: readonly SubsetSpec[], report: Report): void {
  const names = new Set<string>();
  const fallbackKeys = new Map<string, string>();
  subsets.forEach(({ name, labels, fallbackKeys: keys }, index) => {
    const at = ['spec', 'subsets', index];
    if (names.has(name)) report([...at, 'name'], `name "${name}" is there twice`);
    names.add(name);
    // One without labels would be that of all endpoints (Envoy refuses it).
    if (Object.keys(labels).length === 0) report([...at, 'labels'], 'must have at least one label');
    checkFallbackKeys(Object.keys(labels), keys, [...at, 'fallbackKeys'], report);
    // Subsets with labels of the same names are one selector.
    const selector = JSON.stringify(Object.keys(labels).sort());
    const fallback = JSON.stringify([...(keys ?? [])].sort());
    if (fallback !== (fallbackKeys.get(selector) ?? fallback))
      report([...at, 'fallbackKeys'], 'must be the same for all subsets that have labels of the same names');
    fallbackKeys.set(selector, fallback);
  });
}

/** "fallback_keys_subset" - some of the keys, and not all (Envoy, subset_lb_config.cc). */
function checkFallbackKeys(
  names: readonly string[],
  keys: readonly string[] | undefined,
  at: Path,
  report: Report,
): void {
  keys?.forEach((key, index) => {
    if (!names.includes(key)) report([...at, index], `must be the name of one of its labels, got "${key}"`);
    if (keys.indexOf(key) < index) report([...at, index], `"${key}" is there twice`);
  });
  if (keys !== undefined && names.every((name) => keys.includes(name)))
    report(at, 'must leave out one of its labels: with all of them no other endpoint is found');
}
