import type { Message } from './message.js';

/** A `core.v3.ConfigSource` must point back to the server that sent it: `ads`, or `self` (gRFC A27). */
export function requireAdsOrSelf(source: Message): void {
  if (source.oneof('path', 'path_config_source', 'api_config_source', 'ads', 'self') === 'ads' || source.has('self'))
    return;
  throw source.error('', 'must be ads or self');
}
