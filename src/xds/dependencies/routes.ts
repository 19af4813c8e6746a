import type { Route } from '../../core/model/route.js';
import { type ConfiguredRoute, type RouteFilters, withFilters } from '../resources/filter-overrides.js';
import type { ClientListener } from '../resources/listener.js';
import { retain } from '../resources/share.js';

/** Every cluster that the routes may send calls to, each once. */
export function clusterNames(routes: readonly Route[]): readonly string[] {
  const names = new Set<string>();
  for (const { action } of routes) {
    if (action.kind === 'forward') for (const { name } of action.clusters) names.add(name);
  }
  return [...names];
}

/** Every cluster that gets copies of calls, each once. No call waits for one. */
export function mirrorNames(routes: readonly Route[]): readonly string[] {
  const names = new Set<string>();
  for (const { action } of routes) {
    if (action.kind === 'forward') for (const { cluster } of action.mirrors ?? []) names.add(cluster);
  }
  return [...names];
}

/** A listener's word on routes, which come to it by name or with it. */
export type ListenerWord = Pick<ClientListener, 'maxStreamDurationMs' | 'filters'>;

/**
 * A virtual host's routes as they serve: those without a `max_stream_duration` have the listener's (gRFC A31), and what they say to filters
 * counts when the listener has these (gRFC A39). Equal to `previous` means the same object, route by route.
 */
export function targetRoutes(
  routes: readonly ConfiguredRoute[],
  { maxStreamDurationMs, filters = NO_FILTERS }: ListenerWord,
  previous: readonly Route[] | undefined,
): readonly Route[] {
  const filtered = mapped(routes, (route) => withFilters(route, filters));
  const own =
    maxStreamDurationMs === undefined ? filtered : mapped(filtered, (route) => withCap(route, maxStreamDurationMs));
  return retain(previous, own);
}

const NO_FILTERS: RouteFilters = { cors: undefined, session: undefined };

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
