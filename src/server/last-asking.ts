import type { Route, RouteConfiguration } from '../core/model/route.js';
import type { FilterChain } from '../core/model/server.js';

/**
 * What is asked of requests that no route takes where their listener says nothing of it: the same as of those that the last route that asks anything takes, which is for
 * all the others.
 */
export const lastAsking = (
  { routes: source }: FilterChain,
  routes: RouteConfiguration | undefined,
  asks: (route: Route) => boolean,
): Route | undefined =>
  (source.kind === 'inline' ? source.config : routes)?.virtualHosts.flatMap((host) => host.routes).findLast(asks);
