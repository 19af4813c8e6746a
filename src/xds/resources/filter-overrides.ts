import type {
  CorsPolicy,
  Route,
  RouteConfiguration,
  SessionPersistence,
  VirtualHost,
  WeightedCluster,
} from '../../core/model/route.js';
import { runToEnd, type Steps } from '../../core/steps.js';
import { extension } from './any.js';
import { authorizationUnder, judgingPaths } from './authz-filters.js';
import { faultsUnder } from './fault-filters.js';
import { corsPolicy } from './filter-cors.js';
import { httpFault } from './filter-fault.js';
import {
  CORS_POLICY,
  FAULT,
  LOCAL_LIMITS,
  OVERRIDE_WRAPPER,
  RATE_LIMIT_OVERRIDE,
  RBAC_OVERRIDE,
  SESSION_OVERRIDE,
} from './filter-kinds.js';
import { localLimits } from './filter-local-limits.js';
import { serviceOverride } from './filter-rate-limit.js';
import { ownRbac, type Rbac, rbacOverride } from './filter-rbac.js';
import { OWN_RBAC } from './filter-rbac-own.js';
import { sessionOverride } from './filter-session.js';
import { type GuardOverride, guardOverride, guardsUnder } from './guard-filters.js';
import { type LimitOverride, limitsUnder, uncountable } from './limit-filters.js';
import { OWN_LIMITS, ownLimits } from './limits.js';
import type { Message } from './message.js';
import { OWN_FAULT, ownFault, type OwnFaults } from './own-faults.js';
import type { RateLimits } from './rate-limit.js';
import type { RouteFilters } from './route-filters.js';
import { deepFreeze } from './share.js';

/** What a level says to one of a listener's filters. `session` undefined: no session; `faults` undefined: no faults. */
type Override =
  | { readonly kind: 'off' }
  | { readonly kind: 'cors'; readonly policy: CorsPolicy }
  | { readonly kind: 'session'; readonly session: SessionPersistence | undefined }
  | { readonly kind: 'limits'; readonly limits: LimitOverride }
  | { readonly kind: 'faults'; readonly faults: OwnFaults | undefined }
  | { readonly kind: 'rbac'; readonly rbac: Rbac }
  | { readonly kind: 'guard'; readonly guard: GuardOverride };

/** By the name of the filter. */
export type Overrides = ReadonlyMap<string, Override>;

/** What a route says to the filter of this name. */
interface RouteOverride {
  readonly filter: string;
  readonly said: Exclude<Override, { readonly kind: 'cors' }>;
}

/** What a route, or one of its clusters, says to filters. */
interface Overridden {
  readonly cors?: CorsPolicy | undefined;
  readonly overrides?: readonly RouteOverride[];
  /** Absent: none. */
  readonly rateLimits?: RateLimits;
}

/** A route as its RouteConfiguration has it: what it says to filters is there, and which filters there are is the listener's word. */
export interface ConfiguredRoute extends Route, Overridden {}

/** The same for one of its clusters. */
export interface ConfiguredCluster extends WeightedCluster {
  /** Absent: what the route says. */
  readonly overridden?: Overridden;
}

/**
 * `typed_per_filter_config` of a level over that of the levels around it: "the most specific config" counts, whole, for each filter (gRFC A39); but
 * policies for CORS go field by field (Envoy). They have been checked (`checkFilterOverrides`). `scope` names the level.
 */
export function filterOverrides(level: Message, around: Overrides, scope: string): Overrides {
  const entries = level.map('typed_per_filter_config');
  if (entries.length === 0) return around;
  const found = new Map(around);
  for (const [filter, value] of entries) {
    const override = overrideOf(value, around.get(filter), `${scope}/${filter}`);
    // One of another kind takes the place of what the outer levels say, and is not looked at any further.
    if (override === undefined) found.delete(filter);
    else found.set(filter, override);
  }
  return found;
}

function overrideOf(value: Message, around: Override | undefined, scope: string): Override | undefined {
  const wrapped = extension(value).type === OVERRIDE_WRAPPER;
  if (wrapped && value.flag('disabled')) return { kind: 'off' };
  const config = wrapped ? value.message('config') : value;
  if (config === undefined) return undefined;
  const found = extension(config);
  switch (found.type) {
    case CORS_POLICY:
      return { kind: 'cors', policy: corsPolicy(config, around?.kind === 'cors' ? around.policy : undefined) };
    case SESSION_OVERRIDE:
      return { kind: 'session', session: sessionOverride(config) };
    case OWN_LIMITS:
      return { kind: 'limits', limits: { kind: 'own', limits: ownLimits(found) } };
    case LOCAL_LIMITS:
      return { kind: 'limits', limits: { kind: 'local', limits: localLimits(config, true), scope } };
    case RATE_LIMIT_OVERRIDE:
      return { kind: 'limits', limits: { kind: 'service-override', override: serviceOverride(config) } };
    case FAULT:
      return { kind: 'faults', faults: httpFault(config) };
    case OWN_FAULT:
      return { kind: 'faults', faults: ownFault(found) };
    case RBAC_OVERRIDE:
      return { kind: 'rbac', rbac: runToEnd(rbacOverride(config)) };
    case OWN_RBAC:
      return { kind: 'rbac', rbac: runToEnd(ownRbac(found)) };
    default: {
      const guard = guardOverride(found.type, config);
      return guard && { kind: 'guard', guard };
    }
  }
}

/** The parts of a route that come from overrides; `inline` is the deprecated `cors` of route action or virtual host. */
export function overriddenParts(
  overrides: Overrides,
  inline: CorsPolicy | undefined,
  rateLimits: RateLimits | undefined,
): Overridden {
  let cors = inline;
  const others: RouteOverride[] = [];
  for (const [filter, said] of overrides) {
    if (said.kind === 'cors') cors = said.policy;
    else others.push({ filter, said });
  }
  return {
    cors,
    ...(others.length > 0 && { overrides: others }),
    ...(rateLimits !== undefined && { rateLimits }),
  };
}

/** The route as it serves under a listener with these filters. */
export function withFilters(route: ConfiguredRoute, filters: RouteFilters): Route {
  const reason = unservable(route, filters);
  if (reason !== undefined) {
    const { overrides: _, rateLimits: __, ...plain } = route;
    return Object.freeze({ ...plain, action: Object.freeze({ kind: 'unservable', reason }) });
  }
  const parts = partsUnder(filters, route);
  const { cors, session, limits, faults, authorization } = parts;
  const action = withClusterFilters(route.action, filters);
  const isSame = route.session === session && route.cors === cors && route.action === action;
  const isPlain = route.overrides === undefined && route.rateLimits === undefined;
  const isFree = [limits, faults, authorization, parts.authentication, parts.extAuthz].every((it) => it === undefined);
  if (isPlain && isSame && isFree) return route;
  const { overrides: _, rateLimits: __, ...plain } = route;
  return Object.freeze({ ...plain, action, ...parts });
}

/** Why the route cannot serve under these filters: to leave a limit out in silence would let everybody in. Undefined: it can. */
function unservable(route: ConfiguredRoute, { limits }: RouteFilters): string | undefined {
  if (limits === undefined) return undefined;
  const clusters: readonly ConfiguredCluster[] = route.action.kind === 'forward' ? route.action.clusters : [];
  for (const said of [route, ...clusters.flatMap(({ overridden }) => overridden ?? [])]) {
    const reason = uncountable(limits, (name) => limitOverride(overrideFor(said, name)), said.rateLimits);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** All routes as they serve under these filters. */
export function* configurationUnder(config: RouteConfiguration, filters: RouteFilters): Steps<RouteConfiguration> {
  const virtualHosts: VirtualHost[] = [];
  for (const host of config.virtualHosts) {
    const routes: Route[] = [];
    for (const route of host.routes) {
      routes.push(withFilters(route, filters));
      yield;
    }
    virtualHosts.push(Object.freeze({ ...host, routes: Object.freeze(routes) }));
  }
  return Object.freeze({ ...config, virtualHosts: Object.freeze(judgingPaths(virtualHosts)) });
}

/** Its clusters, each with what it has in place of the route's. */
function withClusterFilters(action: Route['action'], filters: RouteFilters): Route['action'] {
  if (action.kind !== 'forward') return action;
  const clusters: readonly ConfiguredCluster[] = action.clusters;
  if (clusters.every(({ overridden }) => overridden === undefined)) return action;
  const [first, ...others] = clusters.map(({ overridden, ...cluster }) =>
    Object.freeze(
      overridden === undefined ? cluster : { ...cluster, own: Object.freeze(partsUnder(filters, overridden)) },
    ),
  ) as [WeightedCluster, ...WeightedCluster[]];
  return Object.freeze({ ...action, clusters: Object.freeze([first, ...others] as const) });
}

type Parts = Pick<
  Route,
  'cors' | 'session' | 'limits' | 'faults' | 'adaptiveConcurrency' | 'authorization' | 'authentication' | 'extAuthz'
>;

function partsUnder(filters: RouteFilters, said: Overridden): Parts {
  const { cors, session, limits, faults, concurrency, authorization, guards } = filters;
  const overrideOf = (name: string) => overrideFor(said, name);
  const own = session && overrideOf(session.filter);
  const limited = limits && limitsUnder(limits, (name) => limitOverride(overrideOf(name)), said.rateLimits);
  const faulty = faults && faultsUnder(faults, (name) => faultOverride(overrideOf(name)));
  return {
    // Only a FilterConfig that switches it off says anything to the filter for CORS here.
    cors: cors !== undefined && overrideOf(cors)?.kind !== 'off' ? said.cors : undefined,
    session: sessionUnder(session?.session, own),
    ...(limited !== undefined && { limits: deepFreeze(limited) }),
    ...(faulty !== undefined && { faults: deepFreeze(faulty) }),
    ...(authorization !== undefined && {
      authorization: deepFreeze(authorizationUnder(authorization, (name) => rbacOverrideOf(overrideOf(name)))),
    }),
    ...(guards !== undefined && deepFreeze(guardsUnder(guards, (name) => guardOverrideOf(overrideOf(name))))),
    ...(concurrency !== undefined && overrideOf(concurrency)?.kind === 'off' && { adaptiveConcurrency: 'off' }),
  };
}

const overrideFor = ({ overrides }: Overridden, name: string): RouteOverride['said'] | undefined =>
  overrides?.find(({ filter }) => filter === name)?.said;

/** What is said of something else is not said to the filter. */
function sessionUnder(
  session: SessionPersistence | undefined,
  said: RouteOverride['said'] | undefined,
): SessionPersistence | undefined {
  if (said?.kind === 'off') return undefined;
  return said?.kind === 'session' ? said.session : session;
}

function limitOverride(said: RouteOverride['said'] | undefined): LimitOverride | 'off' | undefined {
  if (said?.kind === 'off') return 'off';
  return said?.kind === 'limits' ? said.limits : undefined;
}

function rbacOverrideOf(said: RouteOverride['said'] | undefined): Rbac | 'off' | undefined {
  if (said?.kind === 'off') return 'off';
  return said?.kind === 'rbac' ? said.rbac : undefined;
}

function guardOverrideOf(said: RouteOverride['said'] | undefined): GuardOverride | 'off' | undefined {
  if (said?.kind === 'off') return 'off';
  return said?.kind === 'guard' ? said.guard : undefined;
}

function faultOverride(said: RouteOverride['said'] | undefined) {
  if (said?.kind === 'off') return 'off';
  return said?.kind === 'faults' ? said : undefined;
}
