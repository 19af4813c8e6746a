import type { RouteSource } from '../../core/model/server.js';
import type { Steps } from '../../core/steps.js';
import type { ResourceOrigin } from '../origin.js';
import { requireAdsOrSelf } from './config-source.js';
import { type HttpFilters, httpFilters } from './http-filters.js';
import type { Message } from './message.js';
import { routeConfiguration } from './route.js';
import type { ReadContext } from './context.js';
import type { Side } from './side.js';

export const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** What both kinds of listener take from an HttpConnectionManager. */
export interface ConnectionManager {
  readonly routes: RouteSource;
  readonly maxStreamDurationMs: number | undefined;
  readonly filters: HttpFilters;
}

/**
 * `HttpConnectionManager`, by the rules of gRFC A27, A39 and A41. "Independent of the Listener type" (A41), but for its filters. `scope` names the
 * listener, or the chain of it.
 */
export function* connectionManager(
  hcm: Message,
  side: Side,
  { origin }: ReadContext,
  scope: string,
): Steps<ConnectionManager> {
  // gRFC A41: "must be unset or zero", as the address of the peer is taken to be that of the connection.
  if (hcm.uint32('xff_num_trusted_hops') !== 0)
    throw hcm.error('xff_num_trusted_hops', 'must be 0 or not set (gRFC A41)');
  // gRFC A41: "must be empty"
  if (hcm.messages('original_ip_detection_extensions').length > 0)
    throw hcm.error('original_ip_detection_extensions', 'must be empty (gRFC A41)');
  const filters = yield* httpFilters(hcm, side, scope);
  return {
    filters,
    routes: yield* routeSource(hcm, origin, scope),
    maxStreamDurationMs: hcm.message('common_http_protocol_options')?.duration('max_stream_duration'),
  };
}

function* routeSource(hcm: Message, origin: ResourceOrigin, scope: string): Steps<RouteSource> {
  switch (hcm.oneof('rds', 'route_config', 'scoped_routes')) {
    case 'rds': {
      const rds = hcm.required('rds');
      requireAdsOrSelf(rds.required('config_source'));
      return { kind: 'rds', name: rds.requiredText('route_config_name') };
    }
    case 'route_config':
      // A name that it has is its own only within its listener.
      return { kind: 'inline', config: yield* routeConfiguration(hcm.required('route_config'), origin, scope) };
    default:
      throw hcm.error('', 'must have rds or route_config');
  }
}
