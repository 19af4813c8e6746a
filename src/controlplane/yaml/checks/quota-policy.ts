import { nearest } from '../../../core/decode.js';
import type { Path, Report } from '../problem.js';
import type { QuotaPlan, QuotaPolicySpec } from '../schema/quota-policy.js';
import { checkLimit, checkStore, checkTargets, hintOf } from './limit.js';
import { checkKeys } from './limit-key.js';

export function checkQuotaPolicy(spec: QuotaPolicySpec, report: Report): void {
  const { plans, plan, defaultPlan, store, onStoreFailure } = spec;
  checkTargets(spec.targetRefs, report);
  checkKeys(spec.subject, ['spec', 'subject'], report);
  checkStore(store, onStoreFailure, ['spec'], report);
  const names = new Set<string>();
  plans.forEach((each, index) => {
    const at = ['spec', 'plans', index];
    if (names.has(each.name)) report([...at, 'name'], `name "${each.name}" is there twice`);
    names.add(each.name);
    checkPlan(each, at, report);
  });
  const sources = (['header', 'claim'] as const).filter((source) => plan?.[source] !== undefined);
  if (plan !== undefined && sources.length === 0)
    report(['spec', 'plan'], 'must have header or claim', { expected: 'header, claim' });
  if (sources.length > 1) report(['spec', 'plan', 'claim'], 'cannot be combined with header: keep one of them');
  if (plan === undefined && plans.length > 1 && defaultPlan === undefined)
    report(['spec', 'plan'], 'is missing: it says which of the plans a request has', { expected: 'header, claim' });
  if (plan === undefined && plans.length > 1 && defaultPlan !== undefined)
    report(['spec', 'plans'], 'has plans that nobody can have: say in "plan" where a request names its own');
  if (defaultPlan !== undefined && !names.has(defaultPlan)) {
    const near = nearest(defaultPlan, [...names]);
    report(['spec', 'defaultPlan'], `there is no plan "${defaultPlan}"; ${hintOf(defaultPlan, [...names])}`, {
      expected: [...names].join(', '),
      ...(near !== undefined && { nearest: near }),
    });
  }
}

function checkPlan({ limits, unlimited }: QuotaPlan, at: Path, report: Report): void {
  if ((limits === undefined) === (unlimited !== true))
    report(at, 'must have either limits or "unlimited: true"', { expected: 'limits, unlimited: true' });
  const periods = new Set<string>();
  limits?.forEach((limit, index) => {
    const here = [...at, 'limits', index];
    checkLimit(limit, here, report);
    const period = String(limit.per);
    if (periods.has(period)) report([...here, 'per'], 'is there twice in this plan: keep the lower limit');
    periods.add(period);
  });
}
