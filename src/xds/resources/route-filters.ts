import type { AdaptiveConcurrency } from '../../core/model/server.js';
import type { SessionPersistence } from '../../core/model/route.js';
import { runToEnd } from '../../core/steps.js';
import { extension } from './any.js';
import type { FaultFilter } from './fault-filters.js';
import { adaptiveConcurrency } from './filter-adaptive-concurrency.js';
import { httpFault } from './filter-fault.js';
import type { AuthzFilter } from './authz-filters.js';
import { ADAPTIVE_CONCURRENCY, CORS, FAULT, LOCAL_LIMITS, RATE_LIMIT, RBAC, SESSION } from './filter-kinds.js';
import { localLimits } from './filter-local-limits.js';
import { serviceLimits } from './filter-rate-limit.js';
import { ownRbac, rbacFilter } from './filter-rbac.js';
import { OWN_RBAC } from './filter-rbac-own.js';
import { statefulSession } from './filter-session.js';
import { type GuardFilter, guardFilters } from './guard-filters.js';
import type { LimitConfig, LimitFilter } from './limit-filters.js';
import { OWN_LIMITS, ownLimits } from './limits.js';
import type { Message } from './message.js';
import { OWN_FAULT, ownFault } from './own-faults.js';

/** A listener's filters that count for routes, most because these have something to say to them. */
export interface RouteFilters {
  /** Name of the filter for CORS; undefined: there is none, and policies do not count. */
  readonly cors: string | undefined;
  /** The filter for sessions, by its name in the listener; `session` undefined: for routes that have one of their own. */
  readonly session: { readonly filter: string; readonly session: SessionPersistence | undefined } | undefined;
  /** In their order; absent: none. */
  readonly limits?: readonly LimitFilter[];
  readonly faults?: readonly FaultFilter[];
  readonly authorization?: readonly AuthzFilter[];
  readonly guards?: readonly GuardFilter[];
  /** Name of the filter for adaptive concurrency, which routes can switch off; absent: there is none. */
  readonly concurrency?: string;
}

/** A listener's filters, none of which routes have anything to say to. */
export const NO_ROUTE_FILTERS: RouteFilters = { cors: undefined, session: undefined };

/** Reads filters that have been checked. Of several for sessions the first counts: the next would find that an endpoint has been chosen. */
export function routeFilters(filters: readonly Message[], scope: string): RouteFilters {
  const typed = (type: string): Message | undefined => filters.find((filter) => typeOf(filter) === type);
  const session = typed(SESSION);
  const limits = filters.flatMap((filter) => limitFilter(filter, scope) ?? []);
  const faults = filters.flatMap((filter) => faultFilter(filter) ?? []);
  const authorization = filters.flatMap((filter) => authzFilter(filter) ?? []);
  const guards = guardFilters(filters);
  const concurrency = concurrencyFilter(filters);
  return {
    cors: typed(CORS)?.text('name'),
    session: session && {
      filter: session.text('name'),
      // One that is disabled can be switched on by a route (http_connection_manager.proto).
      session: session.flag('disabled') ? undefined : statefulSession(session.required('typed_config')),
    },
    ...(limits.length > 0 && { limits }),
    ...(faults.length > 0 && { faults }),
    ...(authorization.length > 0 && { authorization }),
    ...(guards.length > 0 && { guards }),
    ...(concurrency !== undefined && { concurrency: concurrency.text('name') }),
  };
}

const typeOf = (filter: Message): string => extension(filter.required('typed_config')).type;

function limitFilter(filter: Message, around: string): LimitFilter | undefined {
  const name = filter.text('name');
  const config = limitConfig(filter.required('typed_config'), `${around}/${name}`);
  return config === undefined ? undefined : { filter: name, config, disabled: filter.flag('disabled') };
}

function limitConfig(config: Message, scope: string): LimitConfig | undefined {
  const found = extension(config);
  switch (found.type) {
    case OWN_LIMITS:
      return { kind: 'own', limits: ownLimits(found) };
    case LOCAL_LIMITS:
      return { kind: 'local', limits: localLimits(config, false), scope };
    case RATE_LIMIT:
      return { kind: 'service', limits: serviceLimits(config), scope };
    default:
      return undefined;
  }
}

function faultFilter(filter: Message): FaultFilter | undefined {
  const config = filter.required('typed_config');
  const found = extension(config);
  const name = filter.text('name');
  const disabled = filter.flag('disabled');
  if (found.type === FAULT) return { filter: name, faults: disabled ? undefined : httpFault(config) };
  return found.type === OWN_FAULT ? { filter: name, faults: disabled ? undefined : ownFault(found) } : undefined;
}

/** One that is disabled is there for routes that have rules for it. */
function authzFilter(filter: Message): AuthzFilter | undefined {
  const config = filter.required('typed_config');
  const found = extension(config);
  const name = filter.text('name');
  const disabled = filter.flag('disabled');
  if (found.type === RBAC) return { filter: name, rbac: disabled ? {} : runToEnd(rbacFilter(config)) };
  return found.type === OWN_RBAC ? { filter: name, rbac: disabled ? {} : runToEnd(ownRbac(found)) } : undefined;
}

/** What the filter for adaptive concurrency says, if one is on. */
export function concurrencyOf(filters: readonly Message[]): AdaptiveConcurrency | undefined {
  const filter = concurrencyFilter(filters);
  return filter && adaptiveConcurrency(filter.required('typed_config'));
}

/** The first that is on. */
const concurrencyFilter = (filters: readonly Message[]): Message | undefined =>
  filters.find(
    (filter) =>
      typeOf(filter) === ADAPTIVE_CONCURRENCY &&
      !filter.flag('disabled') &&
      adaptiveConcurrency(filter.required('typed_config')) !== undefined,
  );
