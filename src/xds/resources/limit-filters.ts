import type { LimitRule, RouteLimits } from '../../core/model/limit.js';
import { type LocalLimits, localRules } from './filter-local-limits.js';
import { type ServiceLimits, type ServiceOverride, serviceRules } from './filter-rate-limit.js';
import type { RateLimits } from './rate-limit.js';

/**
 * What a filter that limits says, or in place of it a route. `scope` is the place where it stands, which its counts are named for: those of a listener's
 * filter are of all its routes together, and "when using per route configuration, the bucket becomes unique to that route" - local_rate_limit.proto.
 * `limits` undefined: nothing is limited.
 */
export type LimitConfig =
  | { readonly kind: 'own'; readonly limits: RouteLimits }
  | { readonly kind: 'local'; readonly limits: LocalLimits | undefined; readonly scope: string }
  | { readonly kind: 'service'; readonly limits: ServiceLimits; readonly scope: string };

/** A filter of a listener. */
export interface LimitFilter {
  readonly filter: string;
  readonly config: LimitConfig;
  /** Only for routes that say something to it. */
  readonly disabled: boolean;
}

/** What a route says to such a filter. */
export type LimitOverride = LimitConfig | { readonly kind: 'service-override'; readonly override: ServiceOverride };

/** What all filters come to for a route: all rules count, and what a refusal looks like is the word of the first filter that has one. */
export function limitsUnder(
  filters: readonly LimitFilter[],
  overrideOf: (filter: string) => LimitOverride | 'off' | undefined,
  limits: RateLimits | undefined,
): RouteLimits | undefined {
  let found: RouteLimits | undefined;
  for (const { filter, config, disabled } of filters) {
    const said = overrideOf(filter);
    if (said === 'off' || (said === undefined && disabled)) continue;
    const part = limitsOf(config, said, limits);
    if (part === undefined || part.rules.length === 0) continue;
    found = found === undefined ? part : { ...found, rules: joined(found.rules, part.rules) };
  }
  return found;
}

function limitsOf(
  filter: LimitConfig,
  said: LimitOverride | undefined,
  limits: RateLimits | undefined,
): RouteLimits | undefined {
  if (filter.kind === 'service') {
    const override = said?.kind === 'service-override' ? said.override : undefined;
    return { rules: serviceRules(filter.limits, override, limits, filter.scope), ...filter.limits.reply };
  }
  // A route's word of another kind than the filter's says nothing to it.
  const config = said?.kind === filter.kind ? said : filter;
  if (config.kind === 'own') return config.limits;
  if (config.kind !== 'local' || config.limits === undefined) return undefined;
  return { rules: localRules(config.limits, limits, config.scope), ...config.limits.reply };
}

/** One name is one count: a rule that two filters have counts once. */
function joined(rules: readonly LimitRule[], more: readonly LimitRule[]): readonly LimitRule[] {
  const names = new Set(rules.map(({ name }) => name));
  return [...rules, ...more.filter(({ name }) => !names.has(name))];
}
