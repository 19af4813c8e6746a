import { DEFAULT_RETRY, type RetryCondition, type RetryConfig } from '../../core/model/route.js';
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
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

/**
 * `route.v3.RetryPolicy`. A policy whose `retry_on` names nothing (known) means: never. What only tunes Envoy's choice of another
 * host is not read, since a retry goes to another endpoint anyway; nor are the fields that gRFC A44 ignores.
 */
export function retryPolicy(policy: Message): RetryConfig {
  // Present and zero is refused by gRFC A44; Envoy takes it for "never", which an empty retry_on says to both.
  const retries = policy.uint32Value('num_retries') ?? 1;
  if (retries === 0)
    throw policy.error('num_retries', 'must be greater than 0 (gRFC A44); to forbid retries leave retry_on empty');
  const perTry = policy.duration('per_try_timeout');
  return {
    on: conditions(policy.text('retry_on')),
    statusCodes: new Set(policy.numbers('retriable_status_codes')),
    maxRetries: retries,
    perTryTimeoutMs: perTry === 0 ? undefined : perTry,
    ...backOff(policy.message('retry_back_off')),
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
