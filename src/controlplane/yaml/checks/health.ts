import type { Path, Report } from '../problem.js';
import type { HealthCheckSpec } from '../schema/health-check.js';
import type { OutlierDetectionSpec } from '../schema/outlier-detection.js';
import { between, DAY_MS } from './bounds.js';

const KINDS = ['httpHealthCheck', 'grpcHealthCheck', 'tcpHealthCheck'] as const;
const INTERVALS = [
  'timeout',
  'interval',
  'noTrafficInterval',
  'noTrafficHealthyInterval',
  'unhealthyInterval',
  'unhealthyEdgeInterval',
  'healthyEdgeInterval',
] as const;
const JITTERS = ['initialJitter', 'intervalJitter'] as const;

export function checkHealthCheck(check: HealthCheckSpec, at: Path, report: Report): void {
  const given = KINDS.filter((kind) => check[kind] !== undefined);
  if (given.length === 0) report(at, `must have one of ${KINDS.join(', ')}`, { expected: KINDS.join(', ') });
  for (const kind of given.slice(1))
    report([...at, kind], `cannot be combined with ${given[0]}: make two checks of them`);
  for (const field of INTERVALS) between(report, [...at, field], check[field], 1, DAY_MS);
  for (const field of JITTERS) between(report, [...at, field], check[field], 0, DAY_MS);
  for (const field of ['expectedStatuses', 'retriableStatuses'] as const) {
    check.httpHealthCheck?.[field]?.forEach(({ start, end }, index) => {
      if (start >= end)
        report(
          [...at, 'httpHealthCheck', field, index, 'end'],
          `must be more than start, as it is the first status after the range, got ${end}`,
        );
    });
  }
  check.httpHealthCheck?.requestHeadersToAdd?.forEach(({ name, value }, index) => {
    const headerAt = [...at, 'httpHealthCheck', 'requestHeadersToAdd', index];
    if (name.toLowerCase() === 'host')
      report([...headerAt, 'name'], 'the Host header is set with httpHealthCheck.host');
    if (!/^[\t\x20-\x7e]*$/.test(value))
      report([...headerAt, 'value'], 'must be ASCII text without control characters');
  });
}

/** Those that count what `splitExternalLocalOriginErrors` splits off. */
const LOCAL_ORIGIN = [
  'consecutiveLocalOriginFailure',
  'enforcingConsecutiveLocalOriginFailure',
  'enforcingLocalOriginSuccessRate',
  'enforcingFailurePercentageLocalOrigin',
] as const;

export function checkOutlierDetection(given: OutlierDetectionSpec, at: Path, report: Report): void {
  between(report, [...at, 'interval'], given.interval, 100, DAY_MS);
  between(report, [...at, 'baseEjectionTime'], given.baseEjectionTime, 1, DAY_MS);
  between(report, [...at, 'maxEjectionTime'], given.maxEjectionTime, given.baseEjectionTime ?? 1, DAY_MS);
  between(report, [...at, 'maxEjectionTimeJitter'], given.maxEjectionTimeJitter, 0, DAY_MS);
  for (const field of LOCAL_ORIGIN) {
    if (given[field] !== undefined && given.splitExternalLocalOriginErrors !== true)
      report([...at, field], 'needs "splitExternalLocalOriginErrors: true" beside it');
  }
}
