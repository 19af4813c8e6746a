import type { AuthzCondition, RbacFilter, RbacPolicy, RbacRules } from '../../core/model/authorization.js';
import { Authorizer } from './authorizer.js';
import { type AuthzEnv, conditionTest } from './conditions.js';
import { describe } from './describe.js';
import type { AuthzRequest } from './request.js';
import { policyTest } from './rules.js';

/** Why a request is allowed or denied: every filter, every policy. Slow, for people; what serves is `Authorizer`, which decides here, too. */
export interface Explanation {
  readonly allowed: boolean;
  /** Name of the filter that decided, and of the policy; '' where there is no filter, or none matched. */
  readonly filter: string;
  readonly policy: string;
  /** In one sentence. */
  readonly reason: string;
  readonly filters: readonly FilterExplanation[];
}

export interface FilterExplanation {
  readonly name: string;
  readonly action: RbacRules['action'];
  /** A dry run, without effect. */
  readonly shadow: boolean;
  readonly allowed: boolean;
  readonly policies: readonly PolicyExplanation[];
}

export interface PolicyExplanation {
  readonly name: string;
  readonly matched: boolean;
  /** What matched; or what would have had to. */
  readonly because: string;
}

export function explainDecision(filters: readonly RbacFilter[], request: AuthzRequest, env: AuthzEnv): Explanation {
  const { allowed, action, filter, policy = '' } = new Authorizer(filters, env, () => {}).decide(request);
  return {
    allowed,
    filter,
    policy,
    reason: reasonOf(allowed, action, filter, policy),
    filters: filters.flatMap(({ name, rules, shadow }) => [
      ...(rules === undefined ? [] : [explainRules(name, rules, false, request, env)]),
      ...(shadow === undefined ? [] : [explainRules(name, shadow, true, request, env)]),
    ]),
  };
}

function reasonOf(allowed: boolean, action: RbacRules['action'], filter: string, policy: string): string {
  if (filter === '') return 'no policy asks anything of such requests';
  if (policy === '') return allowed ? 'no policy denies it, and none has to allow it' : 'no policy allows it';
  return action === 'LOG'
    ? `nothing denies it; policy ${policy} tells of it`
    : `policy ${policy} ${allowed ? 'allows' : 'denies'} it`;
}

function explainRules(
  name: string,
  { action, policies }: RbacRules,
  shadow: boolean,
  request: AuthzRequest,
  env: AuthzEnv,
): FilterExplanation {
  const wide = action !== 'ALLOW';
  const explained = policies.map((policy) => explainPolicy(policy, request, env, wide));
  const matched = explained.some((policy) => policy.matched);
  return { name, action, shadow, allowed: action === 'LOG' || (action === 'ALLOW') === matched, policies: explained };
}

function explainPolicy(policy: RbacPolicy, request: AuthzRequest, env: AuthzEnv, wide: boolean): PolicyExplanation {
  const matched = policyTest(policy, env, wide)(request);
  const parts = [policy.permissions, policy.principals].map((of): AuthzCondition => ({ kind: 'or', of }));
  const told = parts.flatMap((part) => leaves(part, matched, request, env, wide));
  const distinct = [...new Set(told)].filter((text) => text !== 'anything');
  const because = distinct.join(matched ? ', ' : '; ');
  return {
    name: policy.name,
    matched,
    because: because === '' ? 'it is for everything' : matched ? because : `needs ${because}`,
  };
}

/** The conditions that are why a tree is what it is: those that hold in one that matches, those that do not in one that does not. */
function leaves(
  condition: AuthzCondition,
  matched: boolean,
  request: AuthzRequest,
  env: AuthzEnv,
  wide: boolean,
): string[] {
  if (conditionTest(condition, env, wide)(request) !== matched) return [];
  if (condition.kind === 'and' && matched) return condition.of.flatMap((of) => leaves(of, true, request, env, wide));
  if (condition.kind === 'and') {
    const wanting = condition.of.find((of) => !conditionTest(of, env, wide)(request));
    return wanting === undefined ? [] : leaves(wanting, false, request, env, wide);
  }
  if (condition.kind === 'or' && matched) {
    const holds = condition.of.find((of) => conditionTest(of, env, wide)(request));
    return holds === undefined ? [] : leaves(holds, true, request, env, wide);
  }
  return [describe(condition)];
}
