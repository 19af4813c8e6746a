import type { Route } from '../../src/core/model/route.js';
import { LISTENER, type Resource, ROUTE } from '../../src/core/resources.js';
import { targetRoutes } from '../../src/xds/dependencies/routes.js';
import { decoders } from './decoders.js';
import { any, listenerResource, routerFilter, routeResource, toCluster } from './xds-resources.js';

/** An `HttpFilter`. */
export const filterOf = (name: string, typed_config: Resource, fields: Resource = {}): Resource => ({
  name,
  typed_config,
  ...fields,
});

/** What a level says to filters. */
export const override = (...entries: [string, Resource][]): Resource => ({
  typed_per_filter_config: Object.fromEntries(entries),
});

/** A `TypedStruct` of this type with a plain value. */
export const typedStruct = (type: string, value: unknown = {}): Resource =>
  any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${type}`, value: structOf(value as object) });

const structOf = (value: object): Resource => ({
  fields: Object.fromEntries(
    Object.entries(value).flatMap(([name, field]) => (field === undefined ? [] : [[name, fieldOf(field)]])),
  ),
});

/** A `google.protobuf.Value`. */
function fieldOf(value: unknown): Resource {
  if (value === null) return { null_value: 'NULL_VALUE' };
  if (typeof value === 'number') return { number_value: value };
  if (typeof value === 'string') return { string_value: value };
  if (typeof value === 'boolean') return { bool_value: value };
  if (Array.isArray(value)) return { list_value: { values: value.map(fieldOf) } };
  return { struct_value: structOf(value as object) };
}

/** What the levels of a route configuration have beside what they must. */
export interface Levels {
  readonly config?: Resource;
  readonly host?: Resource;
  readonly route?: Resource;
  readonly action?: Resource;
}

/** The routes of a client's listener with these filters. */
export function servedRoutes(
  filters: readonly Resource[],
  routes: readonly Resource[],
  levels: Levels = {},
): readonly Route[] {
  const listener = decoders[LISTENER](listenerResource('l', 'r', { http_filters: [...filters, routerFilter] }), 'l');
  if (listener.kind !== 'api') throw new Error('must be a client’s');
  const config = decoders[ROUTE]({ ...routeResource('r', routes, levels.host), ...levels.config }, 'r');
  return targetRoutes(config.virtualHosts[0]?.routes ?? [], listener, undefined);
}

/** One route. */
export function servedRoute(filters: readonly Resource[], levels: Levels = {}): Route {
  const [route] = servedRoutes(filters, [{ ...toCluster('c', undefined, levels.action), ...levels.route }], levels);
  if (route === undefined) throw new Error('no route');
  return route;
}
