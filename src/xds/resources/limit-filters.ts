import type { LimitRule, RouteLimits } from '../../core/model/limit.js';
import { type LocalLimits, localEntries, localRules } from './filter-local-limits.js';
import { serviceEntries, type ServiceLimits, type ServiceOverride, serviceRules } from './filter-rate-limit.js';
import type { RateLimit, RateLimits } from './rate-limit.js';

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

type OverrideOf = (filter: string) => LimitOverride | 'off' | undefined;

/** What all filters come to for a route: all rules count, and what a refusal looks like is the word of the first filter that has one. */
export function limitsUnder(
  filters: readonly LimitFilter[],
  overrideOf: OverrideOf,
  limits: RateLimits | undefined,
): RouteLimits | undefined {
  let found: RouteLimits | undefined;
  for (const part of configsUnder(filters, overrideOf)) {
    const own = limitsOf(part, limits);
    if (own === undefined || own.rules.length === 0) continue;
    found = found === undefined ? own : { ...found, rules: joined(found.rules, own.rules) };
  }
  return found;
}

/** Why a route cannot be held to what its filters say: they would count by a rate limit that is not supported. Undefined: it can. */
export function uncountable(
  filters: readonly LimitFilter[],
  overrideOf: OverrideOf,
  limits: RateLimits | undefined,
): string | undefined {
  for (const part of configsUnder(filters, overrideOf)) {
    const found = entriesOf(part, limits).find(({ unsupported }) => unsupported !== undefined);
    if (found !== undefined) return `its rate limits are not supported: ${found.unsupported}`;
  }
  return undefined;
}

/** What a filter that is on for a route says, or in place of it the route. */
interface Saying {
  readonly config: LimitConfig;
  readonly override: ServiceOverride | undefined;
}

function configsUnder(filters: readonly LimitFilter[], overrideOf: OverrideOf): Saying[] {
  return filters.flatMap(({ filter, config, disabled }): Saying[] => {
    const said = overrideOf(filter);
    if (said === 'off' || (said === undefined && disabled)) return [];
    if (config.kind === 'service')
      return [{ config, override: said?.kind === 'service-override' ? said.override : undefined }];
    // A route's word of another kind than the filter's says nothing to it.
    return [{ config: said?.kind === config.kind ? said : config, override: undefined }];
  });
}

function limitsOf({ config, override }: Saying, limits: RateLimits | undefined): RouteLimits | undefined {
  switch (config.kind) {
    case 'own':
      return config.limits;
    case 'local':
      return config.limits && { rules: localRules(config.limits, limits, config.scope), ...config.limits.reply };
    case 'service':
      return { rules: serviceRules(config.limits, override, limits, config.scope), ...config.limits.reply };
  }
}

function entriesOf({ config, override }: Saying, limits: RateLimits | undefined): readonly RateLimit[] {
  switch (config.kind) {
    case 'own':
      return [];
    case 'local':
      return config.limits === undefined ? [] : localEntries(config.limits, limits);
    case 'service':
      return serviceEntries(config.limits, override, limits);
  }
}

/** One name is one count: a rule that two filters have counts once. */
function joined(rules: readonly LimitRule[], more: readonly LimitRule[]): readonly LimitRule[] {
  const names = new Set(rules.map(({ name }) => name));
  return [...rules, ...more.filter(({ name }) => !names.has(name))];
}
