import type { Steps } from '../../core/steps.js';
import { adaptiveConcurrency } from './filter-adaptive-concurrency.js';
import { corsPolicy } from './filter-cors.js';
import { checkFault, injectsFault } from './filter-fault.js';
import { checkRbac, checkRbacOverride } from './filter-rbac.js';
import { sessionOverride, statefulSession } from './filter-session.js';
import type { Message } from './message.js';
import type { Side } from './side.js';

/** One entry of gRFC A39's registry: a type of message that configures a filter. */
export interface FilterKind {
  /** "Independent sets of supported filters on the client and server side" (gRFC A39). */
  readonly sides: readonly Side[];
  /** Whether it answers the request, and so must be the last one. */
  readonly terminal: boolean;
  /** Throws when the configuration is wrong. Undefined: all of its fields are ignored. */
  readonly check: ((config: Message) => Steps<void>) | undefined;
  /** Why this version cannot do what the configuration, which is right, asks for; undefined: it can. */
  readonly lacking: (config: Message, disabled: boolean) => string | undefined;
}

/** What may be around an override, to switch a filter off or to say that it may be unknown. */
export const OVERRIDE_WRAPPER = 'envoy.config.route.v3.FilterConfig';
export const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
export const ADAPTIVE_CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
export const CORS = 'envoy.extensions.filters.http.cors.v3.Cors';
export const CORS_POLICY = 'envoy.extensions.filters.http.cors.v3.CorsPolicy';
export const SESSION = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession';
export const SESSION_OVERRIDE = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute';

const faultLacking = (fault: Message, disabled: boolean): string | undefined =>
  injectsFault(fault) && !disabled ? 'faults are not injected by this version' : undefined;

const nothingLacking = (): undefined => undefined;

/** A check that reads all at once. */
const reading = (read: (config: Message) => unknown) =>
  // biome-ignore lint/correctness/useYield: it is short, and needs no pause.
  function* (config: Message): Steps<void> {
    read(config);
  };

/** By the type of `HttpFilter.typed_config`. */
export const FILTERS: ReadonlyMap<string, FilterKind> = new Map<string, FilterKind>([
  // gRFC A39: "All fields will be ignored."
  [ROUTER, { sides: ['client', 'server'], terminal: true, check: undefined, lacking: nothingLacking }],
  [FAULT, { sides: ['client'], terminal: false, check: checkFault, lacking: faultLacking }],
  [
    RBAC,
    {
      sides: ['server'],
      terminal: false,
      check: checkRbac,
      // Also one that has no rules, only logs (A41: "as if RBAC was not configured") or is disabled: a route can give it rules.
      lacking: () => 'policies are not enforced by this version, and never ignored',
    },
  ],
  [
    ADAPTIVE_CONCURRENCY,
    { sides: ['server'], terminal: false, check: reading(adaptiveConcurrency), lacking: nothingLacking },
  ],
  // The policy is the routes'.
  [CORS, { sides: ['client', 'server'], terminal: false, check: undefined, lacking: nothingLacking }],
  // A server has no endpoint to choose, so that there it comes to nothing.
  [SESSION, { sides: ['client', 'server'], terminal: false, check: reading(statefulSession), lacking: nothingLacking }],
]);

/** By the type of an override in `typed_per_filter_config`; which side runs the filter cannot be known there (gRFC A39). */
export const OVERRIDES: ReadonlyMap<string, Omit<FilterKind, 'sides' | 'terminal'>> = new Map([
  [FAULT, { check: checkFault, lacking: faultLacking }],
  // No server with an RBAC filter is accepted, and a client runs none: without effect.
  [RBAC_OVERRIDE, { check: checkRbacOverride, lacking: nothingLacking }],
  [CORS_POLICY, { check: reading(corsPolicy), lacking: nothingLacking }],
  [SESSION_OVERRIDE, { check: reading(sessionOverride), lacking: nothingLacking }],
]);
