import type { Route } from '../../core/model/route.js';
import { retain } from '../resources/share.js';

/** Every cluster that the routes may send to, each once. */
export function clusterNames(routes: readonly Route[]): readonly string[] {
  const names = new Set<string>();
  for (const { action } of routes) {
    if (action.kind === 'forward') for (const { name } of action.clusters) names.add(name);
  }
  return [...names];
}

/**
 * A virtual host's routes as they serve: those without a `max_stream_duration` have the listener's (gRFC A31). Equal to `previous`
 * means the same object, route by route.
 */
export function targetRoutes(
  routes: readonly Route[],
  maxStreamDurationMs: number | undefined,
  previous: readonly Route[] | undefined,
): readonly Route[] {
  const own = maxStreamDurationMs === undefined ? routes : routes.map((route) => withCap(route, maxStreamDurationMs));
  return retain(previous, own);
}

function withCap(route: Route, maxStreamDurationMs: number): Route {
  const { action } = route;
  if (action.kind !== 'forward' || action.maxStreamDurationMs !== undefined) return route;
  return Object.freeze({ ...route, action: Object.freeze({ ...action, maxStreamDurationMs }) });
}
