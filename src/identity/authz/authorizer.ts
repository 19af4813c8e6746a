import type { RbacFilter } from '../../core/model/authorization.js';
import type { AuthzEnv } from './conditions.js';
import type { AuthzRequest } from './request.js';
import { CompiledRules, type RuleDecision } from './rules.js';

/** Is told of decisions that somebody wants to hear of: dry runs, and what is audited. Must not throw. */
export type OnDecision = (decision: RuleDecision, request: AuthzRequest) => void;

interface Step {
  readonly rules: CompiledRules | undefined;
  readonly shadow: CompiledRules | undefined;
}

/** When no filter asks anything. */
const UNASKED: RuleDecision = Object.freeze({
  allowed: true,
  action: 'ALLOW',
  filter: '',
  policy: undefined,
  shadow: false,
  audit: [],
});

/** All authorization filters of a route, in their order: each has to let a request through. Compiled once; a decision allocates nothing. */
export class Authorizer {
  readonly #steps: readonly Step[];

  constructor(
    readonly filters: readonly RbacFilter[],
    env: AuthzEnv,
    private readonly onDecision: OnDecision,
  ) {
    this.#steps = filters.map(({ name, rules, shadow }) => ({
      rules: rules && new CompiledRules(rules, name, false, env),
      shadow: shadow && new CompiledRules(shadow, name, true, env),
    }));
  }

  /** The decision that counts: the first that denies, else the last by which a policy allowed it. */
  decide(request: AuthzRequest): RuleDecision {
    let decided = UNASKED;
    for (const { rules, shadow } of this.#steps) {
      if (shadow !== undefined) this.onDecision(shadow.decide(request), request);
      if (rules === undefined) continue;
      const decision = rules.decide(request);
      if (decision.audit.length > 0) this.onDecision(decision, request);
      if (!decision.allowed) return decision;
      if (decision.action === 'ALLOW' || decided === UNASKED) decided = decision;
    }
    return decided;
  }
}
