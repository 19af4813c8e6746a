import type { LimitRequest } from '../../core/limits.js';
import type { LimitRule } from '../../core/model/limit.js';
import type { RouteMatch } from '../../core/model/match.js';
import type { LimitEnv } from './env.js';
import { CompiledRule, type Counting } from './rule.js';

/** The rules of a route, of which one may leave a request to another, and several may look at the same share of them. */
export class RuleSet {
  readonly #rules: readonly CompiledRule[];
  /** What rolls for each share, by its name. */
  readonly #rolls = new Map<string, (request: LimitRequest) => boolean>();

  constructor(rules: readonly LimitRule[], env: Pick<LimitEnv, 'matching' | 'service'>) {
    this.#rules = rules.map((rule) => new CompiledRule(rule, env));
    for (const { share } of rules) {
      if (share !== undefined && !this.#rolls.has(share.name))
        this.#rolls.set(share.name, env.matching.any([{ ...ANY, fraction: share.of }]));
    }
  }

  /** Of the rules that count the request, in their order; undefined: none does. */
  counting(request: LimitRequest): Counting[] | undefined {
    let counted: Counting[] | undefined;
    let rolled: Map<string, boolean> | undefined;
    for (const rule of this.#rules) {
      const { store, share, unless } = rule.config;
      // Whoever is asked for limits is not asked whether he may be asked. Never told by the path, which anybody can send.
      if (store.kind === 'rls' && request.asksLimits === true) continue;
      if (unless !== undefined && counted?.some(({ rule: { name } }) => unless.includes(name)) === true) continue;
      if (share !== undefined) {
        rolled ??= new Map();
        if (!this.#rolled(share.name, request, rolled)) continue;
      }
      const counting = rule.counting(request);
      if (counting === undefined) continue;
      if (counted === undefined) counted = [counting];
      else counted.push(counting);
    }
    return counted;
  }

  /** Once per request. */
  #rolled(share: string, request: LimitRequest, rolled: Map<string, boolean>): boolean {
    const known = rolled.get(share) ?? this.#rolls.get(share)?.(request) ?? true;
    rolled.set(share, known);
    return known;
  }
}

const ANY: RouteMatch = {
  path: { kind: 'prefix', value: '', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
};
