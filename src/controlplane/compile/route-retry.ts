import type { Resource } from '../../core/resources.js';
import type { RouteRetrySpec } from '../yaml/schema/route-retry.js';
import { headerMatcher } from './header-matcher.js';
import { any, duration } from './proto.js';
import { type RetrySpec, retryPolicy } from './retry.js';
import type { Timeouts } from '../yaml/schema/route.js';

const PREVIOUS_HOSTS = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  typed_config: any('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
};
/** Of `retry_back_off` without a base (route_components.proto). */
const DEFAULT_BASE_MS = 25;

/** The `retry_policy` of a rule with what its RoutePolicy says on top; of a rule without `retry`, on top of `retry: {}`. */
export function routeRetryPolicy(
  retry: RetrySpec | undefined,
  timeouts: Timeouts | undefined,
  more: RouteRetrySpec | undefined,
): Resource | undefined {
  if (more === undefined) return retryPolicy(retry, timeouts);
  const usual = retryPolicy(retry ?? {}, timeouts) ?? {};
  const conditions = new Set(String(usual['retry_on'] ?? '').split(','));
  for (const condition of more.on ?? []) conditions.add(condition);
  if (more.retriableHeaders !== undefined) conditions.add('retriable-headers');
  const { rateLimitedBackOff: limited, hostSelectionAttempts } = more;
  return {
    ...usual,
    retry_on: [...conditions].join(','),
    ...backOff(retry?.backoff, more.maxBackoff),
    ...(more.perTryIdleTimeout !== undefined && { per_try_idle_timeout: duration(more.perTryIdleTimeout) }),
    ...(more.retriableHeaders !== undefined && { retriable_headers: more.retriableHeaders.map(headerMatcher) }),
    ...(more.retriableRequestHeaders !== undefined && {
      retriable_request_headers: more.retriableRequestHeaders.map(headerMatcher),
    }),
    ...(limited !== undefined && {
      rate_limited_retry_back_off: {
        // SECONDS is the first name of the enum, and never travels.
        reset_headers: limited.resetHeaders.map(({ name, format }) => ({
          name: name.toLowerCase(),
          ...(format !== 'SECONDS' && { format }),
        })),
        max_interval: duration(limited.maxInterval),
      },
    }),
    ...(hostSelectionAttempts !== undefined && {
      retry_host_predicate: [PREVIOUS_HOSTS],
      host_selection_retry_max_attempts: hostSelectionAttempts,
    }),
  };
}

/** `max_interval` must not be less than the base. */
function backOff(base: number | undefined, max: number | undefined): Resource {
  if (max === undefined) return {};
  const from = Math.min(base ?? DEFAULT_BASE_MS, max);
  return { retry_back_off: { base_interval: duration(from), max_interval: duration(max) } };
}
