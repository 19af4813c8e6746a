import type { AuthzCondition, RbacFilter, RbacRules, RouteAuthorization } from '../../core/model/authorization.js';
import type { Route, VirtualHost } from '../../core/model/route.js';
import type { Rbac } from './filter-rbac.js';

/** An RBAC filter of a listener. */
export interface AuthzFilter {
  readonly filter: string;
  readonly rbac: Rbac;
}

/** What all filters come to for a route, in their order; a route's own takes the place of the filter's, whole (gRFC A39, A41). */
export function authorizationUnder(
  filters: readonly AuthzFilter[],
  overrideOf: (filter: string) => Rbac | 'off' | undefined,
): RouteAuthorization {
  const found: RbacFilter[] = [];
  for (const { filter, rbac: own } of filters) {
    const said = overrideOf(filter);
    const rbac = said === 'off' ? {} : (said ?? own);
    if (rbac.rules !== undefined || rbac.shadow !== undefined) found.push({ name: filter, ...rbac });
  }
  return { filters: found, judgesPath: found.some(looksAtPath) };
}

/**
 * Routes judge by the path already in that each has rules of its own: where they differ, or where any rule looks at it, only canonical paths are served by any of them.
 */
export function judgingPaths(hosts: readonly VirtualHost[]): readonly VirtualHost[] {
  const routes = hosts.flatMap((host) => host.routes);
  const all = routes.map(({ authorization }) => authorization);
  const guarded = routes.some((route) => !sameGuards(route, routes[0]));
  if (!guarded && all.every((one) => one === undefined)) return hosts;
  const [first] = all;
  const judged = guarded || all.some((one) => one?.judgesPath === true || !sameFilters(one, first));
  if (!judged) return hosts;
  return hosts.map((host) =>
    Object.freeze({
      ...host,
      routes: Object.freeze(
        host.routes.map((route) =>
          Object.freeze({
            ...route,
            authorization: Object.freeze({ filters: route.authorization?.filters ?? [], judgesPath: true }),
          }),
        ),
      ),
    }),
  );
}

/** Which token is asked for, or who is asked, goes by the route as well. */
function sameGuards(a: Route, b: Route | undefined): boolean {
  const same = <T>(x: readonly T[] | undefined, y: readonly T[] | undefined): boolean =>
    x?.length === y?.length && (x?.every((one, i) => one === y?.[i]) ?? true);
  return same(a.authentication, b?.authentication) && same(a.extAuthz, b?.extAuthz);
}

function sameFilters(a: RouteAuthorization | undefined, b: RouteAuthorization | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.filters.length === b.filters.length &&
    a.filters.every((filter, i) => filter.rules === b.filters[i]?.rules && filter.shadow === b.filters[i]?.shadow)
  );
}

const looksAtPath = ({ rules, shadow }: RbacFilter): boolean => rulesLook(rules) || rulesLook(shadow);

const rulesLook = (rules: RbacRules | undefined): boolean =>
  rules?.policies.some(({ permissions, principals }) => [...permissions, ...principals].some(conditionLooks)) ?? false;

function conditionLooks(condition: AuthzCondition): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.some(conditionLooks);
    case 'not':
      return conditionLooks(condition.of);
    case 'header':
      return condition.header.name === ':path';
    default:
      return condition.kind === 'path';
  }
}
