import type { Path, Report } from '../problem.js';
import type { RetryHeaderMatch, RouteRetrySpec } from '../schema/route-retry.js';
import { between, DAY_MS } from './bounds.js';
import { checkRegex } from './route.js';

export function checkRouteRetry(retry: RouteRetrySpec | undefined, at: Path, report: Report): void {
  if (retry === undefined) return;
  between(report, [...at, 'maxBackoff'], retry.maxBackoff, 1, DAY_MS);
  between(report, [...at, 'perTryIdleTimeout'], retry.perTryIdleTimeout, 0, DAY_MS);
  between(report, [...at, 'rateLimitedBackOff', 'maxInterval'], retry.rateLimitedBackOff?.maxInterval, 1, DAY_MS);
  for (const field of ['retriableHeaders', 'retriableRequestHeaders'] as const) {
    retry[field]?.forEach((match, index) => {
      checkMatch(match, [...at, field, index], report);
    });
  }
}

function checkMatch({ type, value }: RetryHeaderMatch, at: Path, report: Report): void {
  if (type === 'Present' && value !== undefined) report([...at, 'value'], 'means nothing with type Present: remove it');
  if (type !== 'Present' && value === undefined) report([...at, 'value'], `is missing: type ${type} needs it`);
  if (type === 'RegularExpression' && value !== undefined) checkRegex(value, [...at, 'value'], report);
}
