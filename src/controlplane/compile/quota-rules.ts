import type { DocumentOf } from '../yaml/document.js';
import { formatDuration } from '../yaml/duration.js';
import type { LimitSpec } from '../yaml/schema/limit.js';
import type { QuotaPlan, QuotaPolicySpec } from '../yaml/schema/quota-policy.js';
import { claimPath, limitKey, limitOf, type Own, ruleName, storeFields, storeOf } from './limit-rules.js';
import type { Plain } from './proto.js';

/**
 * The rules of a quota: one for each limit of each plan, for the requests of that plan alone; one that has none for a plan without limits. The first of a
 * plan meters. Where a header says the plan it is a condition, and no part of the key: else who makes up plans would have a count for each.
 */
export function quotaRules(policy: DocumentOf<'QuotaPolicy'>): Own[] {
  return policy.spec.plans.flatMap((plan) => {
    const limits = plan.limits ?? [undefined];
    return limits.map((limit, index) => quotaRule(policy, plan, limit, index === 0));
  });
}

function quotaRule(
  policy: DocumentOf<'QuotaPolicy'>,
  plan: QuotaPlan,
  limit: LimitSpec | undefined,
  first: boolean,
): Own {
  const { spec } = policy;
  const period =
    limit === undefined ? 'unlimited' : typeof limit.per === 'string' ? limit.per : formatDuration(limit.per);
  const value = limit === undefined ? 'unlimited' : limitOf(limit);
  return {
    name: ruleName(policy, `${plan.name}/${period}`),
    ...(spec.plan?.claim === undefined ? byHeader(spec, plan, value) : byClaim(spec, plan, value)),
    mode: spec.mode,
    ...storeFields(storeOf(spec.store, undefined), spec.onStoreFailure),
    ...(first && { meter: { plan: plan.name } }),
  };
}

/** What requests have that name none of the plans. */
const defaultOf = ({ defaultPlan, plan, plans }: QuotaPolicySpec): string | undefined =>
  defaultPlan ?? (plan === undefined ? plans[0]?.name : undefined);

function byHeader(spec: QuotaPolicySpec, plan: QuotaPlan, limit: Plain): Own {
  const any = spec.subject.map(() => null);
  const when = conditions(spec, plan.name);
  return {
    ...(when.length > 0 && { when: [{ prefix: '/', headers: when }] }),
    key: spec.subject.map(limitKey),
    ...(limit === 'unlimited' ? { overrides: [{ values: any, limit }] } : { limit }),
  };
}

function conditions(spec: QuotaPolicySpec, plan: string): Own[] {
  const name = spec.plan?.header?.toLowerCase();
  if (name === undefined) return [];
  if (plan !== defaultOf(spec)) return [{ name, string_match: { exact: plan } }];
  return spec.plans
    .filter((other) => other.name !== plan)
    .map((other) => ({
      name,
      string_match: { exact: other.name },
      invert_match: true,
      treat_missing_header_as_empty: true,
    }));
}

/** A claim is no condition of a request, so that it stands in the key; nobody can make it up. */
function byClaim(spec: QuotaPolicySpec, plan: QuotaPlan, limit: Plain): Own {
  const claim = { as: 'plan', kind: 'claim', path: claimPath(spec.plan?.claim ?? []) };
  const any = spec.subject.map(() => null);
  const key = [claim, ...spec.subject.map(limitKey)];
  if (plan.name !== defaultOf(spec)) return { key, overrides: [{ values: [plan.name, ...any], limit }] };
  const others = spec.plans.filter(({ name }) => name !== plan.name);
  return {
    key,
    overrides: [
      ...others.map(({ name }) => ({ values: [name, ...any], limit: 'skip' })),
      { values: [null, ...any], limit },
    ],
  };
}
