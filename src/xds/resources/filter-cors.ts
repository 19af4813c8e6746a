import type { CorsPolicy } from '../../core/model/route.js';
import { isHeaderValue } from './header-name.js';
import type { Message } from './message.js';
import { fractionalPercent } from './percent.js';
import { stringMatch } from './string-match.js';

/**
 * `extensions.filters.http.cors.v3.CorsPolicy`, and `route.v3.CorsPolicy`, whose fields are deprecated and have the same names. What it does not say
 * it has from `around`, the policy of the level around it, but for whether it is enabled (Envoy, `CorsFilter::allowMethods` and the like).
 */
export function corsPolicy(policy: Message, around?: CorsPolicy): CorsPolicy {
  const filter = share(policy, 'filter_enabled');
  const shadow = share(policy, 'shadow_enabled');
  const origins = policy.messages('allow_origin_string_match').map(stringMatch);
  return {
    allowOrigin: origins.length === 0 ? (around?.allowOrigin ?? []) : origins,
    allowMethods: headerText(policy, 'allow_methods') || (around?.allowMethods ?? ''),
    allowHeaders: headerText(policy, 'allow_headers') || (around?.allowHeaders ?? ''),
    exposeHeaders: headerText(policy, 'expose_headers') || (around?.exposeHeaders ?? ''),
    maxAge: headerText(policy, 'max_age') || (around?.maxAge ?? ''),
    allowCredentials: policy.boolValue('allow_credentials') ?? around?.allowCredentials ?? false,
    allowPrivateNetwork: policy.boolValue('allow_private_network_access') ?? around?.allowPrivateNetwork ?? false,
    // "the default is true" - cors.proto
    forwardNotMatchingPreflights:
      policy.boolValue('forward_not_matching_preflights') ?? around?.forwardNotMatchingPreflights ?? true,
    // "If neither filter_enabled, nor shadow_enabled are specified, the CORS filter will be enabled for 100% of the requests." - cors.proto
    enabled: filter ?? (shadow === undefined ? 1 : 0),
    shadow: shadow ?? 0,
  };
}

function share(policy: Message, field: string): number | undefined {
  const fraction = policy.message(field);
  return fraction === undefined ? undefined : fractionalPercent(fraction.required('default_value'));
}

function headerText(policy: Message, field: string): string {
  const value = policy.text(field);
  if (!isHeaderValue(value)) throw policy.error(field, 'must be a header value (RFC 9110)');
  return value;
}
