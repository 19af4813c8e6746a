import type { CorsPolicy, Route, SessionPersistence, WeightedCluster } from '../../core/model/route.js';
import { extension } from './any.js';
import { corsPolicy } from './filter-cors.js';
import { CORS_POLICY, OVERRIDE_WRAPPER, SESSION_OVERRIDE } from './filter-kinds.js';
import { sessionOverride } from './filter-session.js';
import type { Message } from './message.js';

/** A listener's filters that count for routes, most because these have something to say to them. */
export interface RouteFilters {
  /** Name of the filter for CORS; undefined: there is none, and policies do not count. */
  readonly cors: string | undefined;
  /** The filter for sessions, by its name in the listener; `session` undefined: for routes that have one of their own. */
  readonly session: { readonly filter: string; readonly session: SessionPersistence | undefined } | undefined;
}

/** What a level says to one of a listener's filters. `session` undefined: no session. */
type Override =
  | { readonly kind: 'off' }
  | { readonly kind: 'cors'; readonly policy: CorsPolicy }
  | { readonly kind: 'session'; readonly session: SessionPersistence | undefined };

/** By the name of the filter. */
export type Overrides = ReadonlyMap<string, Override>;

/** What a route says to the filter of this name: another session, or that there is none. */
interface RouteOverride {
  readonly filter: string;
  readonly session: SessionPersistence | undefined;
}

/** What a route, or one of its clusters, says to filters. */
interface Overridden {
  readonly cors?: CorsPolicy | undefined;
  readonly overrides?: readonly RouteOverride[];
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
 * policies for CORS go field by field (Envoy). They have been checked (`checkFilterOverrides`).
 */
export function filterOverrides(level: Message, around: Overrides): Overrides {
  const entries = level.map('typed_per_filter_config');
  if (entries.length === 0) return around;
  const found = new Map(around);
  for (const [filter, value] of entries) {
    const override = overrideOf(value, around.get(filter));
    // One of another kind takes the place of what the outer levels say, and is not looked at any further.
    if (override === undefined) found.delete(filter);
    else found.set(filter, override);
  }
  return found;
}

function overrideOf(value: Message, around: Override | undefined): Override | undefined {
  const wrapped = extension(value).type === OVERRIDE_WRAPPER;
  if (wrapped && value.flag('disabled')) return { kind: 'off' };
  const config = wrapped ? value.message('config') : value;
  if (config === undefined) return undefined;
  switch (extension(config).type) {
    case CORS_POLICY:
      return { kind: 'cors', policy: corsPolicy(config, around?.kind === 'cors' ? around.policy : undefined) };
    case SESSION_OVERRIDE:
      return { kind: 'session', session: sessionOverride(config) };
    default:
      return undefined;
  }
}

/** The parts of a route that come from overrides; `inline` is the deprecated `cors` of route action or virtual host. */
export function overriddenParts(overrides: Overrides, inline: CorsPolicy | undefined): Overridden {
  let cors = inline;
  const others: RouteOverride[] = [];
  for (const [filter, override] of overrides) {
    if (override.kind === 'cors') cors = override.policy;
    else others.push({ filter, session: override.kind === 'session' ? override.session : undefined });
  }
  return others.length === 0 ? { cors } : { cors, overrides: others };
}

/** The route as it serves under a listener with these filters. */
export function withFilters(route: ConfiguredRoute, filters: RouteFilters): Route {
  const { cors, session } = partsUnder(filters, route);
  const action = withClusterFilters(route.action, filters);
  const isSame = route.session === session && route.cors === cors && route.action === action;
  if (route.overrides === undefined && isSame) return route;
  const { overrides: _, ...plain } = route;
  return Object.freeze({ ...plain, action, session, cors });
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

function partsUnder({ cors, session }: RouteFilters, said: Overridden): Pick<Route, 'cors' | 'session'> {
  const overrideOf = (name: string): RouteOverride | undefined => said.overrides?.find(({ filter }) => filter === name);
  const own = session && overrideOf(session.filter);
  return {
    // Only a FilterConfig that switches it off says anything to the filter for CORS here.
    cors: cors !== undefined && overrideOf(cors) === undefined ? said.cors : undefined,
    session: own === undefined ? session?.session : own.session,
  };
}
