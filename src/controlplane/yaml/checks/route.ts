import { safeRegex } from '../../../core/regex/safe-regex.js';
import { formatDuration } from '../duration.js';
import type { Path, Report } from '../problem.js';
import type { ParentRef, Timeouts } from '../schema/route.js';
import type { SessionSpec } from '../schema/session.js';
import { checkSession } from './session.js';

/** What HTTPRoute and GRPCRoute have in common. */

export function checkParents(parents: readonly ParentRef[], report: Report): void {
  parents.forEach((parent, index) => {
    const at = ['spec', 'parentRefs', index];
    if (parent.kind !== 'Service' || (parent.group ?? '') !== '') {
      const what =
        parent.kind === undefined
          ? 'is missing, which means Gateway'
          : `"${[parent.group, parent.kind].filter(Boolean).join('/')}" is not supported by this version of inmesh`;
      report([...at, 'kind'], `${what}: attach the route to a Service (kind: Service, group: "")`, {
        expected: 'Service',
      });
    }
  });
}

interface CommonRule {
  readonly name?: string | undefined;
  readonly timeouts?: Timeouts | undefined;
  readonly sessionPersistence?: SessionSpec | undefined;
  readonly retry?: { readonly backoff?: number | undefined } | undefined;
  readonly backendRefs: readonly { readonly kind: string; readonly group: string; readonly weight: number }[];
}

export function checkRules(rules: readonly CommonRule[], report: Report): void {
  const names = new Set<string>();
  rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    if (rule.name !== undefined && names.has(rule.name)) report([...at, 'name'], `name "${rule.name}" is there twice`);
    if (rule.name !== undefined) names.add(rule.name);
    const { request, backendRequest } = rule.timeouts ?? {};
    // "the value of BackendRequest must be no more than the value of the Request timeout" - HTTPRouteTimeouts; 0s is no limit.
    if (request && backendRequest && backendRequest > request) {
      report(
        [...at, 'timeouts', 'backendRequest'],
        `must be at most the ${formatDuration(request)} of timeouts.request, got ${formatDuration(backendRequest)}`,
      );
    }
    checkSession(rule.sessionPersistence, [...at, 'sessionPersistence'], report);
    if (rule.retry?.backoff === 0)
      report([...at, 'retry', 'backoff'], 'must be more than 0s', { expected: 'at least 1ms' });
    rule.backendRefs.forEach((ref, number) => {
      checkBackendKind(ref, [...at, 'backendRefs', number, 'kind'], report);
    });
    if (rule.backendRefs.length > 0 && rule.backendRefs.every((ref) => ref.weight === 0)) {
      report(
        [...at, 'backendRefs'],
        'the weights are all 0, so that no backend gets any traffic: give one a weight of at least 1',
      );
    }
  });
}

export function checkBackendKind(
  { kind, group }: { readonly kind: string; readonly group: string },
  at: Path,
  report: Report,
): void {
  if (kind === 'Service' && group === '') return;
  report(at, `"${[group, kind].filter(Boolean).join('/')}" is not supported by this version of inmesh: use a Service`, {
    expected: 'Service',
  });
}

export function checkValues(
  matches: readonly { readonly type: string; readonly value: string }[] | undefined,
  at: Path,
  report: Report,
): void {
  matches?.forEach((match, index) => {
    if (match.type === 'RegularExpression') checkRegex(match.value, [...at, index, 'value'], report);
  });
}

export function checkRegex(source: string, at: Path, report: Report): void {
  try {
    safeRegex(source);
  } catch (error) {
    report(at, `must be an RE2 regular expression: ${(error as Error).message}`, {
      expected: 'an RE2 regular expression',
    });
  }
}
