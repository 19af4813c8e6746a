import { safeSubstitution } from '../../../core/regex/safe-regex.js';
import type { Path, Report } from '../problem.js';
import type { RoutePolicySpec } from '../schema/route-policy.js';
import { between, DAY_MS } from './bounds.js';
import { checkHeaderFormats } from './header-formats.js';
import { checkRegex } from './route.js';
import { checkRouteRetry } from './route-retry.js';

/** What is about a backend that answers. */
const FORWARDING = [
  'subset',
  'consistentHash',
  'stickyBackends',
  'regexRewrite',
  'hostRewriteHeader',
  'hostRewritePathRegex',
  'appendForwardedHost',
  'requestHeaders',
  'mirror',
  'priority',
  'idleTimeout',
  'retry',
  'hedge',
  'strictSession',
] as const satisfies readonly (keyof RoutePolicySpec)[];

export function checkRoutePolicy(spec: RoutePolicySpec, report: Report): void {
  for (const field of ['sourceLabels', 'subset'] as const) {
    if (spec[field] !== undefined && Object.keys(spec[field]).length === 0)
      report(['spec', field], 'must have at least one label');
  }
  spec.sourcePrincipals?.forEach((principal, index) => {
    if (!/^spiffe:\/\/[^\s]+$/.test(principal))
      report(
        ['spec', 'sourcePrincipals', index],
        `must be a SPIFFE ID such as spiffe://example.org/web, got "${principal}"`,
        {
          expected: 'a SPIFFE ID',
        },
      );
  });
  for (const field of ['regexRewrite', 'hostRewritePathRegex'] as const)
    checkRewrite(spec[field], ['spec', field], report);
  if (spec.hostRewriteHeader !== undefined && spec.hostRewritePathRegex !== undefined)
    report(['spec', 'hostRewritePathRegex'], 'cannot be combined with hostRewriteHeader: keep one of them');
  checkHeaderFormats(spec.requestHeaders, ['spec', 'requestHeaders'], report);
  checkHeaderFormats(spec.responseHeaders, ['spec', 'responseHeaders'], report);
  checkHeaderFormats(spec.mirror?.requestHeaders, ['spec', 'mirror', 'requestHeaders'], report);
  checkRouteRetry(spec.retry, ['spec', 'retry'], report);
  between(report, ['spec', 'idleTimeout'], spec.idleTimeout, 0, DAY_MS);
  checkHedge(spec.hedge, ['spec', 'hedge'], report);
  if (spec.directResponse === undefined) return;
  for (const field of FORWARDING) {
    if (spec[field] !== undefined) report(['spec', field], 'means nothing beside directResponse: remove one of them');
  }
}

function checkHedge(hedge: RoutePolicySpec['hedge'], at: Path, report: Report): void {
  between(report, [...at, 'delay'], hedge?.delay, 0, 3_600_000);
  if (hedge?.onPerTryTimeout === true && hedge.delay !== undefined)
    report([...at, 'delay'], 'means nothing with onPerTryTimeout, which waits for the limit of the attempt: remove it');
}

function checkRewrite(rewrite: RoutePolicySpec['regexRewrite'], at: Path, report: Report): void {
  if (rewrite === undefined) return;
  const before = { wrong: false };
  checkRegex(rewrite.pattern, [...at, 'pattern'], (...problem) => {
    before.wrong = true;
    report(...problem);
  });
  if (before.wrong) return;
  try {
    safeSubstitution(rewrite.pattern, rewrite.substitution);
  } catch (error) {
    report([...at, 'substitution'], (error as Error).message);
  }
}
