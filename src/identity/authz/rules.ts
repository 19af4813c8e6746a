import type { AuditLogger, RbacPolicy, RbacRules } from '../../core/model/authorization.js';
import { type AuthzEnv, conditionTest } from './conditions.js';
import { PolicyIndex } from './policy-index.js';
import type { AuthzRequest, Test } from './request.js';

/** What one set of rules says of a request. One object for each policy, made beforehand. */
export interface RuleDecision {
  readonly allowed: boolean;
  readonly action: RbacRules['action'];
  /** Name of the filter. */
  readonly filter: string;
  /** Name of the policy that matched; undefined: none did. */
  readonly policy: string | undefined;
  /** A dry run, without effect. */
  readonly shadow: boolean;
  /** Whom to tell of it (gRFC A59). */
  readonly audit: readonly AuditLogger[];
}

/** How the rules of one filter decide: compiled once. */
export class CompiledRules {
  readonly #index: PolicyIndex<CompiledPolicy>;
  readonly #otherwise: RuleDecision;

  constructor(
    readonly rules: RbacRules,
    filter: string,
    shadow: boolean,
    env: AuthzEnv,
  ) {
    const { action, policies } = rules;
    const made = (policy: string | undefined): RuleDecision => {
      // "no match = deny" of ALLOW, "match = deny" of DENY; LOG never denies - rbac.proto, Action
      const allowed = action === 'LOG' || (action === 'ALLOW') === (policy !== undefined);
      return Object.freeze({ allowed, action, filter, policy, shadow, audit: auditOf(rules, allowed, policy) });
    };
    this.#otherwise = made(undefined);
    const compiled = policies.map((policy) => ({
      policy,
      value: { test: policyTest(policy, env, action !== 'ALLOW'), decision: made(policy.name) },
    }));
    this.#index = new PolicyIndex(compiled, ({ test }, request) => test(request));
  }

  decide(request: AuthzRequest): RuleDecision {
    return this.#index.find(request)?.decision ?? this.#otherwise;
  }
}

interface CompiledPolicy {
  readonly test: Test;
  readonly decision: RuleDecision;
}

const NOBODY: readonly AuditLogger[] = [];
const LOGGED: readonly AuditLogger[] = ['logger'];

function auditOf({ action, audit }: RbacRules, allowed: boolean, policy: string | undefined): readonly AuditLogger[] {
  const condition = audit?.condition ?? 'NONE';
  const told =
    condition === 'ON_DENY_AND_ALLOW' || (condition === 'ON_ALLOW' && allowed) || (condition === 'ON_DENY' && !allowed);
  if (told && audit !== undefined) return audit.loggers;
  // What matches a rule of LOG is told without being asked for: that is all it is for.
  return action === 'LOG' && policy !== undefined ? LOGGED : NOBODY;
}

/** Any of its permissions, and any of its principals. */
export function policyTest({ permissions, principals }: RbacPolicy, env: AuthzEnv, wide: boolean): Test {
  const permitted = conditionTest({ kind: 'or', of: permissions }, env, wide);
  const isPrincipal = conditionTest({ kind: 'or', of: principals }, env, wide);
  return (request) => permitted(request) && isPrincipal(request);
}
