import { nearest } from '../../../core/decode.js';
import type { Path, Report } from '../problem.js';
import type { LimitMatchSpec, LimitSpec, LimitStoreSpec } from '../schema/limit.js';
import type { RequestTarget } from '../schema/policy-target.js';
import { between, DAY_MS } from './bounds.js';
import { checkHeaderMatches } from './header-match.js';
import { checkPath } from './http-route.js';
import { checkValues } from './route.js';

/** 366 days: longer than this a count is a matter of the calendar. */
const MAX_PERIOD_MS = 366 * DAY_MS;
const MINUTE_MS = 60_000;
/** Requests that a log remembers. */
const MAX_LOGGED = 100_000;

export function checkTargets(targets: readonly RequestTarget[], report: Report): void {
  targets.forEach(({ group, kind, sectionName }, index) => {
    const at = ['spec', 'targetRefs', index];
    const expected = kind === 'Service' ? '' : 'gateway.networking.k8s.io';
    if (group !== undefined && group !== expected)
      report([...at, 'group'], `must be "${expected}" for kind ${kind}, got "${group}"`, { expected: `"${expected}"` });
    if (kind === 'Service' && sectionName !== undefined)
      report([...at, 'sectionName'], 'means nothing for a Service: name a route, or remove it');
  });
}

export function checkLimit(limit: LimitSpec | undefined, at: Path, report: Report): void {
  if (limit === undefined) return;
  const { requests, per, algorithm, burst, timeZone } = limit;
  if (typeof per === 'string') {
    if (algorithm !== undefined)
      report([...at, 'algorithm'], `is for durations, and "${per}" is of the calendar: remove it`);
    if (timeZone !== undefined && !isTimeZone(timeZone))
      report([...at, 'timeZone'], `must be an IANA time zone such as Europe/Berlin, got "${timeZone}"`, {
        expected: 'an IANA time zone',
      });
  } else {
    between(report, [...at, 'per'], per, 1, MAX_PERIOD_MS);
    if (timeZone !== undefined)
      report([...at, 'timeZone'], 'is for the calendar (minute, hour, day, week, month, year): remove it');
  }
  if (algorithm === 'slidingLog' && requests > MAX_LOGGED)
    report([...at, 'requests'], `must be at most ${MAX_LOGGED} for slidingLog, which remembers each, got ${requests}`);
  if (burst !== undefined && (typeof per === 'string' || (algorithm ?? 'tokenBucket') !== 'tokenBucket'))
    report([...at, 'burst'], 'is for the algorithm tokenBucket: remove it');
}

function isTimeZone(name: string): boolean {
  // Offsets, which newer versions of Node take too, are no time zones.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export function checkLimitMatches(matches: readonly LimitMatchSpec[] | undefined, at: Path, report: Report): void {
  matches?.forEach(({ path, headers, queryParams }, index) => {
    const here = [...at, index];
    if (path !== undefined) checkPath(path, [...here, 'path', 'value'], report);
    checkHeaderMatches(headers, [...here, 'headers'], report);
    checkValues(queryParams, [...here, 'queryParams'], report);
  });
}

export function checkStore(
  store: LimitStoreSpec,
  onStoreFailure: 'allow' | 'deny' | 'local' | undefined,
  at: Path,
  report: Report,
): void {
  const { redis, rateLimitService } = store ?? {};
  const here = [...at, 'store'];
  if (store !== undefined && redis === undefined && rateLimitService === undefined)
    report(here, 'must have redis or rateLimitService; without a store each process counts by itself');
  if (redis !== undefined && rateLimitService !== undefined)
    report([...here, 'rateLimitService'], 'cannot be combined with redis: keep one of them');
  redis?.urls?.forEach((url, index) => {
    // Never shown: it may hold a password.
    if (!URL.canParse(url))
      report([...here, 'redis', 'urls', index], 'must be a URL redis://host:port or rediss://host:port');
  });
  between(report, [...here, 'redis', 'timeout'], redis?.timeout, 1, MINUTE_MS);
  between(report, [...here, 'redis', 'lease', 'ttl'], redis?.lease?.ttl, 1, 60 * MINUTE_MS);
  between(report, [...here, 'rateLimitService', 'timeout'], rateLimitService?.timeout, 1, MINUTE_MS);
  if (onStoreFailure !== undefined && store === undefined)
    report([...at, 'onStoreFailure'], 'means nothing without a store, as each process counts by itself: remove it');
}

/** `did you mean "x"?`, or the names that there are. */
export function hintOf(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? `known: ${known.join(', ') || 'none'}` : `did you mean "${near}"?`;
}
