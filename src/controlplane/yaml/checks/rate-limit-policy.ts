import { nearest } from '../../../core/decode.js';
import type { Path, Report } from '../problem.js';
import type { RateLimitPolicySpec, RateLimitRule } from '../schema/rate-limit-policy.js';
import { between } from './bounds.js';
import { checkLimit, checkLimitMatches, checkStore, checkTargets, hintOf } from './limit.js';
import { checkKeys, keyName } from './limit-key.js';
import { checkServiceLimit } from './service-limit.js';

export function checkRateLimitPolicy(spec: RateLimitPolicySpec, report: Report): void {
  checkTargets(spec.targetRefs, report);
  const names = new Set<string>();
  spec.limits.forEach((rule, index) => {
    const at = ['spec', 'limits', index];
    if (names.has(rule.name)) report([...at, 'name'], `name "${rule.name}" is there twice`);
    names.add(rule.name);
    checkLimitMatches(rule.when, [...at, 'when'], report);
    checkKeys(rule.key, [...at, 'key'], report);
    const checked = rule.store?.rateLimitService === undefined ? checkLimit : checkServiceLimit;
    checked(rule.limit, [...at, 'limit'], report);
    checkStore(rule.store, rule.onStoreFailure, at, report);
    checkOverrides(rule, checked, at, report);
    between(report, [...at, 'queue', 'maxWait'], rule.queue?.maxWait, 1, 600_000);
    if (rule.store?.rateLimitService === undefined) checkOwn(rule, at, report);
    else checkService(rule, at, report);
  });
}

function checkOwn({ limit, overrides, mode, queue }: RateLimitRule, at: Path, report: Report): void {
  if (limit === undefined && overrides === undefined)
    report(at, 'must have a limit, or overrides', { expected: 'limit, overrides' });
  if (mode === 'shadow' && queue !== undefined)
    report([...at, 'queue'], 'means nothing with mode shadow, in which no request waits: remove one of them');
}

/** What a rate limit service has no words for. */
function checkService(rule: RateLimitRule, at: Path, report: Report): void {
  if (rule.queue !== undefined)
    report([...at, 'queue'], 'cannot be combined with a rate limit service, which refuses at once: remove it');
  if (rule.key.length === 0)
    report([...at, 'key'], 'must have at least one entry: a rate limit service is asked by them');
}

function checkOverrides(
  { key, overrides = [] }: RateLimitRule,
  checked: typeof checkLimit,
  at: Path,
  report: Report,
): void {
  const names = key.map(keyName);
  overrides.forEach(({ match, limit, unlimited }, index) => {
    const here = [...at, 'overrides', index];
    for (const name of Object.keys(match)) {
      if (names.includes(name)) continue;
      const near = nearest(name, names);
      report([...here, 'match', name], `is no part of the key; ${hintOf(name, names)}`, {
        expected: names.join(', '),
        ...(near !== undefined && { nearest: near }),
      });
    }
    if (Object.keys(match).length === 0) report([...here, 'match'], 'must name a part of the key');
    if ((limit === undefined) === (unlimited !== true))
      report(here, 'must have either a limit or "unlimited: true"', { expected: 'limit, unlimited: true' });
    checked(limit, [...here, 'limit'], report);
  });
}
