import type { HeaderMatch } from '../../core/model/match.js';
import {
  DEFAULT_RETRY,
  type RateLimitedBackOff,
  type RetryCondition,
  type RetryConfig,
} from '../../core/model/route.js';
import { extension } from './any.js';
import { headerMatch } from './header-match.js';
import { isHeaderName } from './header-name.js';
import type { Message } from './message.js';

/** Envoy's names (`x-envoy-retry-on`) and gRPC's (`x-envoy-retry-grpc-on`, gRFC A44). */
const CONDITIONS: ReadonlySet<string> = new Set<RetryCondition>([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'refused-stream',
  'retriable-4xx',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
/** "If unspecified, this will default to retrying once." - route_components.proto, host_selection_retry_max_attempts */
const DEFAULT_SELECTIONS = 1;
/** Longest list of endpoints that is asked for another one. */
const MAX_SELECTIONS = 100;
/** "Defaults to 300 seconds." - route_components.proto, RateLimitedRetryBackOff.max_interval */
const MAX_RATE_LIMITED_MS = 300_000;

/** `route.v3.RetryPolicy`. A policy whose `retry_on` names nothing (known) means: never. Retries do not choose among priorities (`retry_priority`). */
export function retryPolicy(policy: Message): RetryConfig {
  // Present and zero is refused by gRFC A44; Envoy takes it for "never", which an empty retry_on says to both.
  const retries = policy.uint32Value('num_retries') ?? 1;
  if (retries === 0)
    throw policy.error('num_retries', 'must be greater than 0 (gRFC A44); to forbid retries leave retry_on empty');
  const perTry = policy.duration('per_try_timeout');
  const perTryIdle = policy.duration('per_try_idle_timeout');
  return {
    on: conditions(policy.text('retry_on')),
    statusCodes: new Set(policy.numbers('retriable_status_codes')),
    maxRetries: retries,
    perTryTimeoutMs: perTry === 0 ? undefined : perTry,
    ...backOff(policy.message('retry_back_off')),
    retriableHeaders: headerMatches(policy, 'retriable_headers'),
    retriableRequestHeaders: headerMatches(policy, 'retriable_request_headers'),
    perTryIdleTimeoutMs: perTryIdle === 0 ? undefined : perTryIdle,
    rateLimitedBackOff: rateLimitedBackOff(policy.message('rate_limited_retry_back_off')),
    hostSelection: hostSelection(policy),
    regardlessOfMethod: true,
  };
}

/** "a comma-separated list"; spaces and case do not count, and unknown names are ignored (gRFC A44, grpc-go). */
function conditions(text: string): ReadonlySet<RetryCondition> {
  const names = text.split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name): name is RetryCondition => CONDITIONS.has(name)));
}

/** Defaults of both: 25 ms, and ten times the base (route_components.proto, gRFC A44). */
function backOff(config: Message | undefined): { baseMs: number; maxMs: number } {
  if (config === undefined) return { baseMs: DEFAULT_RETRY.baseMs, maxMs: DEFAULT_RETRY.maxMs };
  const base = config.duration('base_interval');
  if (base === undefined || base === 0) throw config.error('base_interval', 'must be greater than 0');
  const max = config.duration('max_interval');
  if (max === 0) throw config.error('max_interval', 'must be greater than 0');
  // Less than a millisecond counts as one (gRFC A44).
  const baseMs = Math.max(1, base);
  if (max !== undefined && max < base) throw config.error('max_interval', 'must not be less than base_interval');
  return { baseMs, maxMs: max === undefined ? 10 * baseMs : Math.max(baseMs, max) };
}

/** Undefined when there are none: they hold for no reply, or for every request. */
function headerMatches(policy: Message, field: string): readonly HeaderMatch[] | undefined {
  const matchers = policy.messages(field);
  return matchers.length === 0 ? undefined : matchers.map(headerMatch);
}

function rateLimitedBackOff(config: Message | undefined): RateLimitedBackOff | undefined {
  if (config === undefined) return undefined;
  const headers = config.messages('reset_headers').map((header) => {
    const name = header.requiredText('name').toLowerCase();
    if (!isHeaderName(name)) throw header.error('name', 'must be a header name (RFC 9110)');
    const format = header.choice('format', ['SECONDS', 'UNIX_TIMESTAMP']);
    return { name, format: format === 'SECONDS' ? ('seconds' as const) : ('unix' as const) };
  });
  // "min_items: 1" - route_components.proto
  if (headers.length === 0) throw config.error('reset_headers', 'must have at least one');
  const maxMs = config.duration('max_interval') ?? MAX_RATE_LIMITED_MS;
  if (maxMs === 0) throw config.error('max_interval', 'must be greater than 0');
  return { headers, maxMs };
}

/** Of the predicates only the one that is about endpoints which were tried; the others are about priorities and canaries of Envoy's. */
function hostSelection(policy: Message): RetryConfig['hostSelection'] {
  const attempts = policy.int64('host_selection_retry_max_attempts');
  const avoidPrevious = policy.messages('retry_host_predicate').some((predicate) => {
    const config = predicate.message('typed_config');
    return config === undefined
      ? predicate.text('name') === 'envoy.retry_host_predicates.previous_hosts'
      : extension(config).type === PREVIOUS_HOSTS;
  });
  if (!avoidPrevious) return undefined;
  return { avoidPrevious, maxAttempts: Math.min(MAX_SELECTIONS, attempts > 0 ? attempts : DEFAULT_SELECTIONS) };
}
