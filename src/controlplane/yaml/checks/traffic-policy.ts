import type { Path, Report } from '../problem.js';
import type { TrafficPolicySpec } from '../schema/traffic-policy.js';
import { formatDuration } from '../duration.js';

export function checkTrafficPolicy(spec: TrafficPolicySpec, report: Report): void {
  const balancer = spec.loadBalancer;
  const only = (field: 'choiceCount' | 'decay' | 'defaultRtt', simple: string): void => {
    if (balancer?.[field] === undefined || balancer.simple === simple) return;
    report(
      ['spec', 'loadBalancer', field],
      `belongs to "simple: ${simple}" and means nothing with ${balancer.simple}: remove it`,
    );
  };
  only('choiceCount', 'LEAST_REQUEST');
  only('decay', 'PEAK_EWMA');
  only('defaultRtt', 'PEAK_EWMA');
  const between = (path: Path, ms: number | undefined, min: number, max: number): void => {
    if (ms === undefined || (ms >= min && ms <= max)) return;
    const expected = `from ${formatDuration(min)} to ${formatDuration(max)}`;
    report(path, `must be ${expected}, got ${formatDuration(ms)}`, { expected });
  };
  between(['spec', 'loadBalancer', 'decay'], balancer?.decay, 1, 3_600_000);
  between(['spec', 'loadBalancer', 'defaultRtt'], balancer?.defaultRtt, 1, 60_000);
  // The lower bound is GEP-3388's; the upper one Finagle's, whose budget this is (core/model/cluster.ts).
  between(['spec', 'retryConstraint', 'budget', 'interval'], spec.retryConstraint?.budget.interval, 1_000, 60_000);
  between(
    ['spec', 'retryConstraint', 'minRetryRate', 'interval'],
    spec.retryConstraint?.minRetryRate.interval,
    1_000,
    3_600_000,
  );
  between(['spec', 'connectTimeout'], spec.connectTimeout, 1, 3_600_000);
  between(['spec', 'idleTimeout'], spec.idleTimeout, 1, 24 * 3_600_000);
}
