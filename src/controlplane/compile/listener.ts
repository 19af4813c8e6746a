import type { Resource } from '../../core/resources.js';
import { any, FROM_ADS } from './proto.js';

/** An API listener (gRFC A27): what a client asks for by the name that the application wrote. All names of a port share its routes. `filters` stand before the router. */
export function apiListener(name: string, routeConfigName: string, filters: readonly Resource[]): Resource {
  const manager = any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: routeConfigName,
    rds: { config_source: FROM_ADS, route_config_name: routeConfigName },
    http_filters: [
      ...filters,
      { name: 'envoy.filters.http.router', typed_config: any('envoy.extensions.filters.http.router.v3.Router') },
    ],
  });
  return { name, api_listener: { api_listener: manager } };
}
