import { extension } from './any.js';
import { requireAdsOrSelf } from './config-source.js';
import { checkHttpFilters } from './http-filters.js';
import type { Message } from './message.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import { routeConfiguration } from './route.js';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** `listener.v3.Listener` as a client uses it: an API listener, which says where the routes are. */
export interface Listener {
  readonly name: string;
  readonly routes:
    | { readonly kind: 'rds'; readonly name: string }
    | { readonly kind: 'inline'; readonly config: RouteConfiguration };
  /** `common_http_protocol_options.max_stream_duration`: for routes that have none (gRFC A31). Its idle_timeout is a server's matter. */
  readonly maxStreamDurationMs: number | undefined;
}

export function listener(message: Message): Listener {
  const api = message.message('api_listener');
  if (api === undefined)
    throw message.error('api_listener', 'must be set: a client needs an API listener, not one with an address');
  const hcm = api.required('api_listener');
  if (extension(hcm).type !== HCM) throw api.error('api_listener', `must be a ${HCM}, got "${hcm.type}"`);
  checkConnectionManager(hcm);
  return {
    name: message.text('name'),
    routes: routeSpecifier(hcm),
    maxStreamDurationMs: hcm.message('common_http_protocol_options')?.duration('max_stream_duration'),
  };
}

/** Settings that would make a server believe what a client says of its address: gRFC A41 refuses them. */
function checkConnectionManager(hcm: Message): void {
  if (hcm.uint32('xff_num_trusted_hops') !== 0)
    throw hcm.error('xff_num_trusted_hops', 'must be 0 or not set (gRFC A41)');
  if (hcm.messages('original_ip_detection_extensions').length > 0) {
    throw hcm.error('original_ip_detection_extensions', 'must be empty (gRFC A41)');
  }
  checkHttpFilters(hcm);
}

function routeSpecifier(hcm: Message): Listener['routes'] {
  switch (hcm.oneof('rds', 'route_config', 'scoped_routes')) {
    case 'rds': {
      const rds = hcm.required('rds');
      requireAdsOrSelf(rds.required('config_source'));
      return { kind: 'rds', name: rds.requiredText('route_config_name') };
    }
    case 'route_config':
      return { kind: 'inline', config: routeConfiguration(hcm.required('route_config')) };
    default:
      throw hcm.error('', 'must have rds or route_config');
  }
}
