import { type HeaderFields, headerFields } from '../../core/headers.js';
import type { LimitState, ServiceLimitState } from '../../core/limits.js';
import type { Limit, RouteLimits } from '../../core/model/limit.js';

/** What one rule has to say of a request. */
export interface Said {
  readonly rule: string;
  /** Undefined: nobody knows. */
  readonly limit: Limit | undefined;
  readonly state: LimitState;
}

const CALENDAR_SECONDS = { minute: 60, hour: 3_600, day: 86_400, week: 604_800, month: undefined, year: undefined };

/**
 * The fields that a reply carries; undefined when there is nothing to say. `x-ratelimit-*` are those of one rule: `refusing`, else the one that leaves the
 * least (Envoy, XRateLimitHeaderUtils). `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) list all.
 */
export function limitHeaders(
  config: RouteLimits['headers'],
  said: readonly Said[],
  wallTime: () => number,
  refusing?: Said,
): HeaderFields | undefined {
  const strictest = refusing ?? leastLeft(said);
  if (strictest === undefined) return undefined;
  if (config.xRateLimit === 'off' && !config.standard) return undefined;
  const fields = headerFields();
  if (config.xRateLimit !== 'off' && Number.isFinite(strictest.state.limit)) {
    const { limit, remaining, resetMs } = strictest.state;
    const from = config.xRateLimit === 'epoch' ? wallTime() : 0;
    fields['x-ratelimit-limit'] = config.xRateLimit === 'epoch' ? String(limit) : `${limit}${servicePolicies(said)}`;
    fields['x-ratelimit-remaining'] = String(remaining);
    fields['x-ratelimit-reset'] = String(seconds(from + resetMs));
  }
  if (config.standard) {
    let policies = '';
    let limits = '';
    for (const { rule, limit, state } of said) {
      if (!Number.isFinite(state.limit)) continue;
      const name = quoted(rule);
      const policy = limit === undefined ? `${name};q=${state.limit}` : policyText(name, limit);
      const left = `${name};r=${state.remaining};t=${seconds(state.resetMs)}`;
      policies = policies === '' ? policy : `${policies}, ${policy}`;
      limits = limits === '' ? left : `${limits}, ${left}`;
    }
    if (policies !== '') {
      fields['ratelimit-policy'] = policies;
      fields['ratelimit'] = limits;
    }
  }
  return fields;
}

/** Whole seconds, rounded up: who comes then is not too early. */
export const seconds = (ms: number): number => Math.ceil(ms / 1_000);

function leastLeft(said: readonly Said[]): Said | undefined {
  let least = said[0];
  for (const one of said) if (one.state.remaining < (least as Said).state.remaining) least = one;
  return least;
}

/** What a rate limit service says of its limits, all of them, as Envoy's filter appends it (DRAFT_VERSION_03): `, 10;w=1;name="per-ip"`. */
function servicePolicies(said: readonly Said[]): string {
  let text = '';
  for (const { state } of said) {
    if (!isOfService(state) || state.of?.algorithm !== 'fixed_window') continue;
    text += `, ${state.of.requests};w=${seconds(state.of.perMs)}`;
    if (state.name !== undefined) text += `;name=${quoted(state.name)}`;
  }
  return text;
}

const isOfService = (state: LimitState): state is ServiceLimitState => 'of' in state;

const policyTexts = new WeakMap<Limit, { readonly name: string; readonly text: string }>();

/** `"name";q=60;w=60`: of a token bucket what it holds, and the time in which it fills. */
function policyText(name: string, limit: Limit): string {
  const known = policyTexts.get(limit);
  if (known?.name === name) return known.text;
  const text = name + parameters(limit);
  policyTexts.set(limit, { name, text });
  return text;
}

function parameters(limit: Limit): string {
  if (limit.algorithm === 'token_bucket') {
    const { requests, burst, perMs } = limit;
    return requests === 0 ? ';q=0' : `;q=${burst};w=${seconds((burst * perMs) / requests)}`;
  }
  const window = limit.algorithm === 'calendar' ? CALENDAR_SECONDS[limit.per] : seconds(limit.perMs);
  return `;q=${limit.requests}${window === undefined ? '' : `;w=${window}`}`;
}

/** Names seen; rules are few. */
const names = new Map<string, string>();
const MAX_NAMES = 10_000;

/** A String of Structured Fields (RFC 9651 section 3.3.3), which is ASCII. */
function quoted(name: string): string {
  let text = names.get(name);
  if (text === undefined) {
    text = `"${name.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
    if (names.size < MAX_NAMES) names.set(name, text);
  }
  return text;
}
