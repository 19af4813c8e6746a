import type { Report } from '../problem.js';
import type { SubsetSpec, TrafficPolicySpec } from '../schema/traffic-policy.js';
import { between, DAY_MS } from './bounds.js';
import { checkHealthCheck, checkOutlierDetection } from './health.js';
import { checkLoadBalancer } from './load-balancer.js';
import { checkSession } from './session.js';

export function checkTrafficPolicy(spec: TrafficPolicySpec, report: Report): void {
  if (spec.loadBalancer !== undefined) checkLoadBalancer(spec.loadBalancer, ['spec', 'loadBalancer'], report);
  // The lower bound is GEP-3388's; the upper one Finagle's, whose budget this is (core/model/cluster.ts).
  const retries = spec.retryConstraint;
  between(report, ['spec', 'retryConstraint', 'budget', 'interval'], retries?.budget.interval, 1_000, 60_000);
  between(
    report,
    ['spec', 'retryConstraint', 'minRetryRate', 'interval'],
    retries?.minRetryRate.interval,
    1_000,
    3_600_000,
  );
  between(report, ['spec', 'connectTimeout'], spec.connectTimeout, 1, 3_600_000);
  between(report, ['spec', 'idleTimeout'], spec.idleTimeout, 1, DAY_MS);
  checkSession(spec.sessionPersistence, ['spec', 'sessionPersistence'], report);
  checkConnectionPool(spec.connectionPool, report);
  checkSubsets(spec.subsets ?? [], report);
  if (spec.outlierDetection !== undefined)
    checkOutlierDetection(spec.outlierDetection, ['spec', 'outlierDetection'], report);
  spec.healthChecks?.forEach((check, index) => {
    checkHealthCheck(check, ['spec', 'healthChecks', index], report);
  });
}

function checkConnectionPool(pool: TrafficPolicySpec['connectionPool'], report: Report): void {
  const at = ['spec', 'connectionPool'];
  between(report, [...at, 'maxConnectionDuration'], pool?.maxConnectionDuration, 1, DAY_MS);
  between(report, [...at, 'http2Keepalive', 'interval'], pool?.http2Keepalive?.interval, 1, DAY_MS);
  between(report, [...at, 'http2Keepalive', 'timeout'], pool?.http2Keepalive?.timeout, 1, DAY_MS);
}

function checkSubsets(subsets: readonly SubsetSpec[], report: Report): void {
  const names = new Set<string>();
  subsets.forEach(({ name, labels }, index) => {
    const at = ['spec', 'subsets', index];
    if (names.has(name)) report([...at, 'name'], `name "${name}" is there twice`);
    names.add(name);
    // One without labels would be that of all endpoints (Envoy refuses it).
    if (Object.keys(labels).length === 0) report([...at, 'labels'], 'must have at least one label');
  });
}
