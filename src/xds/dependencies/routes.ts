import type { RouteLimits } from '../../core/model/limit.js';
import type { Route } from '../../core/model/route.js';
import { type ConfiguredRoute, withFilters } from '../resources/filter-overrides.js';
import type { ClientListener } from '../resources/listener.js';
import { NO_ROUTE_FILTERS } from '../resources/route-filters.js';
import { retain } from '../resources/share.js';

/** Every cluster that the routes may send calls to, each once. */
export function clusterNames(routes: readonly Route[]): readonly string[] {
  const names = new Set<string>();
  for (const { action } of routes) {
    if (action.kind === 'forward') for (const { name } of action.clusters) names.add(name);
  }
  return [...names];
}

/** Every cluster that gets copies of calls, and every one that answers for limits, each once. No call waits for one. */
export function besideNames(routes: readonly Route[]): readonly string[] {
  const names = new Set<string>();
  for (const { action, limits } of routes) {
    addServices(names, limits);
    if (action.kind !== 'forward') continue;
    for (const { cluster } of action.mirrors ?? []) names.add(cluster);
    for (const { own } of action.clusters) addServices(names, own?.limits);
  }
  return [...names];
}

function addServices(names: Set<string>, limits: RouteLimits | undefined): void {
  for (const { store } of limits?.rules ?? []) if (store.kind === 'rls') names.add(store.service);
}

/** A listener's word on routes, which come to it by name or with it. */
export type ListenerWord = Pick<ClientListener, 'maxStreamDurationMs' | 'filters'>;

/**
 * A virtual host's routes as they serve: those without a `max_stream_duration` have the listener's (gRFC A31), and what they say to filters
 * counts when the listener has these (gRFC A39). Equal to `previous` means the same object, route by route.
 */
export function targetRoutes(
  routes: readonly ConfiguredRoute[],
  { maxStreamDurationMs, filters = NO_ROUTE_FILTERS }: ListenerWord,
  previous: readonly Route[] | undefined,
): readonly Route[] {
  const filtered = mapped(routes, (route) => withFilters(route, filters));
  const own =
    maxStreamDurationMs === undefined ? filtered : mapped(filtered, (route) => withCap(route, maxStreamDurationMs));
  return retain(previous, own);
}

/** The list itself when nothing in it becomes another. */
function mapped(routes: readonly ConfiguredRoute[], to: (route: ConfiguredRoute) => Route): readonly Route[] {
  const next = routes.map(to);
  return next.every((route, i) => route === routes[i]) ? routes : next;
}

function withCap(route: Route, maxStreamDurationMs: number): Route {
  const { action } = route;
  if (action.kind !== 'forward' || action.maxStreamDurationMs !== undefined) return route;
  return Object.freeze({ ...route, action: Object.freeze({ ...action, maxStreamDurationMs }) });
}
