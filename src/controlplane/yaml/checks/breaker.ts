import type { Path, Report } from '../problem.js';
import type { BreakerSpec } from '../schema/breaker.js';
import { between, DAY_MS } from './bounds.js';

export function checkBreaker(breaker: BreakerSpec | undefined, at: Path, report: Report): void {
  if (breaker === undefined) return;
  if (breaker.consecutiveFailures === 0 && breaker.successRate.percent === 0)
    report(at, 'must count something: consecutiveFailures of at least 1, or successRate.percent of at least 1');
  between(report, [...at, 'successRate', 'window'], breaker.successRate.window, 100, DAY_MS);
  between(report, [...at, 'basePenalty'], breaker.basePenalty, 1, DAY_MS);
  between(report, [...at, 'maxPenalty'], breaker.maxPenalty, Math.max(1, breaker.basePenalty), DAY_MS);
}
