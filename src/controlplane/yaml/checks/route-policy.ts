import { safeSubstitution } from '../../../core/regex/safe-regex.js';
import type { Report } from '../problem.js';
import type { RoutePolicySpec } from '../schema/route-policy.js';
import { checkRegex } from './route.js';

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
  checkRewrite(spec.regexRewrite, report);
  if (spec.directResponse === undefined) return;
  for (const field of ['subset', 'consistentHash', 'stickyBackends', 'regexRewrite', 'hostRewriteHeader'] as const) {
    if (spec[field] !== undefined) report(['spec', field], 'means nothing beside directResponse: remove one of them');
  }
}

function checkRewrite(rewrite: RoutePolicySpec['regexRewrite'], report: Report): void {
  if (rewrite === undefined) return;
  const before = { wrong: false };
  checkRegex(rewrite.pattern, ['spec', 'regexRewrite', 'pattern'], (...problem) => {
    before.wrong = true;
    report(...problem);
  });
  if (before.wrong) return;
  try {
    safeSubstitution(rewrite.pattern, rewrite.substitution);
  } catch (error) {
    report(['spec', 'regexRewrite', 'substitution'], (error as Error).message);
  }
}
