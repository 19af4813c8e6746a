import type { Path, Report } from '../problem.js';
import type { RouteRetrySpec } from '../schema/route-retry.js';
import { between, DAY_MS } from './bounds.js';
import { checkHeaderMatch } from './header-match.js';

export function checkRouteRetry(retry: RouteRetrySpec | undefined, at: Path, report: Report): void {
  if (retry === undefined) return;
  between(report, [...at, 'maxBackoff'], retry.maxBackoff, 1, DAY_MS);
  between(report, [...at, 'perTryIdleTimeout'], retry.perTryIdleTimeout, 0, DAY_MS);
  between(report, [...at, 'rateLimitedBackOff', 'maxInterval'], retry.rateLimitedBackOff?.maxInterval, 1, DAY_MS);
  for (const field of ['retriableHeaders', 'retriableRequestHeaders'] as const) {
    retry[field]?.forEach((match, index) => {
      checkHeaderMatch(match, [...at, field, index], report);
    });
  }
}
