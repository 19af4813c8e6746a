import type { Steps } from '../../core/steps.js';
import { type Extension, extension } from './any.js';
import { adaptiveConcurrency } from './filter-adaptive-concurrency.js';
import { corsPolicy } from './filter-cors.js';
import { httpFault } from './filter-fault.js';
import { localLimits } from './filter-local-limits.js';
import { serviceLimits, serviceOverride } from './filter-rate-limit.js';
import { ownRbac, rbacFilter, rbacOverride } from './filter-rbac.js';
import { OWN_RBAC } from './filter-rbac-own.js';
import { extAuthz, extAuthzOverride } from './filter-ext-authz.js';
import { jwtFilter, jwtOverride } from './filter-jwt.js';
import { sessionOverride, statefulSession } from './filter-session.js';
import { EXT_AUTHZ, EXT_AUTHZ_OVERRIDE, JWT, JWT_OVERRIDE, jwtOptions, OWN_JWT } from './guard-filters.js';
import { OWN_LIMITS, ownLimits } from './limits.js';
import type { Message } from './message.js';
import { OWN_FAULT, ownFault } from './own-faults.js';
import type { Side } from './side.js';

/** One entry of gRFC A39's registry: a type of message that configures a filter. */
export interface FilterKind {
  /** "Independent sets of supported filters on the client and server side" (gRFC A39). */
  readonly sides: readonly Side[];
  /** Whether it answers the request, and so must be the last one. */
  readonly terminal: boolean;
  /** Whether it is a TypedStruct; absent: a message of its own. */
  readonly struct?: true;
  /** Throws when the configuration is wrong. Undefined: all of its fields are ignored. */
  readonly check: ((config: Message) => Steps<void>) | undefined;
}

/** What may be around an override, to switch a filter off or to say that it may be unknown. */
export const OVERRIDE_WRAPPER = 'envoy.config.route.v3.FilterConfig';
export const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
export const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
export const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
export const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
export const LOCAL_LIMITS = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
export const RATE_LIMIT = 'envoy.extensions.filters.http.ratelimit.v3.RateLimit';
export const RATE_LIMIT_OVERRIDE = 'envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute';
export const ADAPTIVE_CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
export const CORS = 'envoy.extensions.filters.http.cors.v3.Cors';
export const CORS_POLICY = 'envoy.extensions.filters.http.cors.v3.CorsPolicy';
export const SESSION = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession';
export const SESSION_OVERRIDE = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute';

/** A check that reads all at once. */
const reading = (read: (config: Message) => unknown) =>
  // biome-ignore lint/correctness/useYield: it is short, and needs no pause.
  function* (config: Message): Steps<void> {
    read(config);
  };

/** The same of a TypedStruct. */
const readingOwn = (read: (config: Extension) => unknown) => reading((config) => read(extension(config)));

/** What reads step by step. */
const checking = (read: (config: Message) => Steps<unknown>) =>
  function* (config: Message): Steps<void> {
    yield* read(config);
  };

const checkingOwn = (read: (config: Extension) => Steps<unknown>) => checking((config) => read(extension(config)));

const BOTH = ['client', 'server'] as const;

/** By the type of `HttpFilter.typed_config`. */
export const FILTERS: ReadonlyMap<string, FilterKind> = new Map<string, FilterKind>([
  // gRFC A39: "All fields will be ignored."
  [ROUTER, { sides: BOTH, terminal: true, check: undefined }],
  [FAULT, { sides: BOTH, terminal: false, check: reading(httpFault) }],
  [OWN_FAULT, { sides: BOTH, terminal: false, struct: true, check: readingOwn(ownFault) }],
  [OWN_LIMITS, { sides: BOTH, terminal: false, struct: true, check: readingOwn(ownLimits) }],
  [
    LOCAL_LIMITS,
    {
      sides: BOTH,
      terminal: false,
      check: reading((filter) => localLimits(filter, false)),
    },
  ],
  [RATE_LIMIT, { sides: BOTH, terminal: false, check: reading(serviceLimits) }],
  // "This does not include … running the filter on gRPC clients" - gRFC A41
  [RBAC, { sides: ['server'], terminal: false, check: checking(rbacFilter) }],
  [OWN_RBAC, { sides: ['server'], terminal: false, struct: true, check: checkingOwn(ownRbac) }],
  [JWT, { sides: ['server'], terminal: false, check: reading(jwtFilter) }],
  [OWN_JWT, { sides: ['server'], terminal: false, struct: true, check: readingOwn(jwtOptions) }],
  [EXT_AUTHZ, { sides: ['server'], terminal: false, check: reading((filter) => extAuthz(filter, '')) }],
  [ADAPTIVE_CONCURRENCY, { sides: ['server'], terminal: false, check: reading(adaptiveConcurrency) }],
  // The policy is the routes'.
  [CORS, { sides: BOTH, terminal: false, check: undefined }],
  // A server has no endpoint to choose, so that there it comes to nothing.
  [SESSION, { sides: BOTH, terminal: false, check: reading(statefulSession) }],
]);

/** By the type of an override in `typed_per_filter_config`; which side runs the filter cannot be known there (gRFC A39). */
export const OVERRIDES: ReadonlyMap<string, Pick<FilterKind, 'struct' | 'check'>> = new Map<
  string,
  Pick<FilterKind, 'struct' | 'check'>
>([
  [FAULT, { check: reading(httpFault) }],
  [OWN_FAULT, { struct: true, check: readingOwn(ownFault) }],
  [OWN_LIMITS, { struct: true, check: readingOwn(ownLimits) }],
  [LOCAL_LIMITS, { check: reading((override) => localLimits(override, true)) }],
  [RATE_LIMIT_OVERRIDE, { check: reading(serviceOverride) }],
  // A client runs no such filter: without effect there.
  [RBAC_OVERRIDE, { check: checking(rbacOverride) }],
  [OWN_RBAC, { struct: true, check: checkingOwn(ownRbac) }],
  [JWT_OVERRIDE, { check: reading(jwtOverride) }],
  [EXT_AUTHZ_OVERRIDE, { check: reading(extAuthzOverride) }],
  [CORS_POLICY, { check: reading(corsPolicy) }],
  [SESSION_OVERRIDE, { check: reading(sessionOverride) }],
]);
