import * as v from 'valibot';
import { about, duration, headerName, integer, listOf, oneOf } from './fields.js';
import { headerMatch } from './header-match.js';

/** Envoy's `retry_on` and gRPC's statuses (gRFC A44). */
const CONDITIONS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'refused-stream',
  'retriable-4xx',
  'envoy-ratelimited',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const;

const resetHeader = v.strictObject({
  name: about(headerName, 'Name of a header of the reply.'),
  format: about(
    v.optional(oneOf(['SECONDS', 'UNIX_TIMESTAMP']), 'SECONDS'),
    'Seconds from now, or a time in seconds since 1970. Default SECONDS.',
  ),
});

const rateLimitedBackOff = v.strictObject({
  resetHeaders: about(listOf(resetHeader, 1, 16), 'The first of these that the reply has says when to come back.'),
  maxInterval: about(v.optional(duration, '5m'), 'A longer wait is not believed. Default 5m.'),
});

/** What Envoy's `RetryPolicy` has beyond GEP-1731. */
export const routeRetry = v.strictObject({
  on: about(
    v.optional(listOf(oneOf(CONDITIONS), 1, CONDITIONS.length)),
    "Conditions beside those of the rule's `retry` (Envoy `retry_on`).",
  ),
  maxBackoff: about(
    v.optional(duration),
    'Longest wait between two attempts (Envoy `max_interval`). Default: ten times `retry.backoff`.',
  ),
  perTryIdleTimeout: about(
    v.optional(duration),
    'An attempt of which nothing arrives for so long is given up (Envoy). 0s: none. Default: none.',
  ),
  retriableHeaders: about(
    v.optional(listOf(headerMatch, 1, 16)),
    'Replies that any of these matches are tried again (Envoy `retriable_headers`).',
  ),
  retriableRequestHeaders: about(
    v.optional(listOf(headerMatch, 1, 16)),
    'Only requests that any of these matches are tried again (Envoy `retriable_request_headers`). Default: all.',
  ),
  rateLimitedBackOff: about(
    v.optional(rateLimitedBackOff),
    'How long a server that asks to be left alone is left alone (Envoy `rate_limited_retry_back_off`). Default: `Retry-After`.',
  ),
  hostSelectionAttempts: about(
    v.optional(integer(1, 100)),
    'How often another endpoint is looked for that has not been tried (Envoy `previous_hosts`, `host_selection_retry_max_attempts`). Default: others first.',
  ),
});

export type RouteRetrySpec = v.InferOutput<typeof routeRetry>;
