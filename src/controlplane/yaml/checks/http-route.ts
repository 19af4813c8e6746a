import type { Path, Report } from '../problem.js';
import type { HttpMatch, HttpRouteSpec } from '../schema/http-route.js';
import { checkFilters } from './filters.js';
import { checkParents, checkRegex, checkRules, checkValues } from './route.js';

export function checkHttpRoute(spec: HttpRouteSpec, report: Report): void {
  checkParents(spec.parentRefs, report);
  checkRules(spec.rules, report);
  spec.rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    rule.matches.forEach((match, number) => {
      checkHttpMatch(match, [...at, 'matches', number], report);
    });
    checkFilters(rule.filters, rule.matches, [...at, 'filters'], report);
    rule.backendRefs.forEach((ref, number) => {
      const refAt = [...at, 'backendRefs', number];
      checkFilters(ref.filters ?? [], rule.matches, [...refAt, 'filters'], report);
      // Header changes differ by backend in xDS; paths, hosts and redirects belong to the route.
      ref.filters?.forEach((filter, filterIndex) => {
        if (
          rule.backendRefs.length === 1 ||
          filter.type === 'RequestHeaderModifier' ||
          filter.type === 'ResponseHeaderModifier'
        )
          return;
        report(
          [...refAt, 'filters', filterIndex, 'type'],
          `${filter.type} is supported for one of several backends only as a filter of the whole rule: move it there`,
        );
      });
    });
    const redirect = rule.filters.findIndex((filter) => filter.type === 'RequestRedirect');
    // "RequestRedirect filter must not be used together with backendRefs" - HTTPRouteRule.
    if (redirect >= 0 && rule.backendRefs.length > 0)
      report([...at, 'filters', redirect], 'RequestRedirect cannot be combined with backendRefs: remove one of them');
  });
}

/** What HTTPPathMatch forbids in Exact and PathPrefix values, each with how to say it. */
const PATH_RULES: readonly [RegExp, string][] = [
  [/^(?!\/)/, 'must start with "/"'],
  [/\/\//, 'must not contain "//"'],
  [/\/\.\.?(\/|$)/, 'must not contain "." or ".." as a segment'],
  [/%2f/i, 'must not contain an encoded slash'],
  [/[?]/, 'must not contain a query: use queryParams'],
  [/#/, 'must not contain "#"'],
  [/(%(?![0-9a-f]{2})|[^-A-Za-z0-9/._~!$&'()*+,;=:@%])/i, 'must be percent-encoded where it is not a plain URL path'],
];

export function checkPath({ type, value }: HttpMatch['path'], at: Path, report: Report): void {
  if (type === 'RegularExpression') checkRegex(value, at, report);
  else {
    const broken = PATH_RULES.find(([rule]) => rule.test(value));
    if (broken !== undefined) report(at, `${broken[1]}, got "${value}"`);
  }
}

function checkHttpMatch(match: HttpMatch, at: Path, report: Report): void {
  checkPath(match.path, [...at, 'path', 'value'], report);
  checkValues(match.headers, [...at, 'headers'], report);
  checkValues(match.queryParams, [...at, 'queryParams'], report);
}
