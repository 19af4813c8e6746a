import type { Resource } from '../../core/resources.js';
import type { GRPC_RETRY_CODES, Timeouts } from '../yaml/schema/route.js';
import { duration, wrapped } from './proto.js';

export interface RetrySpec {
  /** HTTP statuses or names of gRPC statuses. */
  readonly codes?: readonly number[] | readonly (typeof GRPC_RETRY_CODES)[number][] | undefined;
  readonly attempts?: number | undefined;
  /** Milliseconds. */
  readonly backoff?: number | undefined;
}

/** "the connection could not be established … or the backend explicitly rejected the request before processing it" - GEP-1731. */
const UNPROCESSED = ['connect-failure', 'refused-stream', 'reset-before-request'];

/**
 * The `retry_policy` for GEP-1731 and for `timeouts.backendRequest`.
 *
 * - Neither: none, and the client's default holds.
 * - `attempts: 0`: a policy that names no condition. `num_retries: 0` would say the same, but gRPC clients refuse it (A44);
 *   with no condition nobody retries, Envoy included.
 * - `backendRequest` alone: the field sits in the retry policy, so one has to be there; it has the one retry of what was
 *   provably not processed.
 * - `retry`: "SHOULD retry on connection errors (disconnect, reset, timeout, TCP failure) if a retry stanza is configured" (HTTPRouteRetry), which is
 *   Envoy's `reset`, with an attempt that takes longer than `backendRequest`.
 */
export function retryPolicy(retry: RetrySpec | undefined, timeouts: Timeouts | undefined): Resource | undefined {
  const perTry = timeouts?.backendRequest;
  const attemptTimeout = perTry ? { per_try_timeout: duration(perTry) } : {};
  if (retry === undefined) return perTry ? { retry_on: UNPROCESSED.join(','), ...attemptTimeout } : undefined;
  if (retry.attempts === 0) return attemptTimeout;
  const { names, statuses } = conditions(retry.codes);
  return {
    // No spaces: grpc-js-xds does not trim.
    retry_on: [...UNPROCESSED, ...names, 'reset'].join(','),
    ...(retry.attempts !== undefined && { num_retries: wrapped(retry.attempts) }),
    ...(statuses.length > 0 && { retriable_status_codes: statuses }),
    ...(retry.backoff !== undefined && { retry_back_off: { base_interval: duration(retry.backoff) } }),
    ...attemptTimeout,
  };
}

function conditions(codes: RetrySpec['codes']): { names: string[]; statuses: number[] } {
  const statuses: number[] = [];
  const names: string[] = [];
  for (const code of new Set<number | string>(codes)) {
    if (typeof code === 'number') statuses.push(code);
    else names.push(code.toLowerCase().replaceAll('_', '-'));
  }
  // GEP-1731 counts gRPC's UNAVAILABLE among the rejections before processing; a GRPCRoute names its statuses itself.
  if (names.length === 0) names.push('unavailable');
  if (statuses.length > 0) names.push('retriable-status-codes');
  return { names, statuses: statuses.sort((a, b) => a - b) };
}

/** What `timeouts.request` adds to a RouteAction: `timeout` for HTTP, `max_stream_duration` for gRPC (A31); 0 is none in both. */
export function requestTimeout(timeouts: Timeouts | undefined): Resource {
  if (timeouts?.request === undefined) return {};
  const limit = duration(timeouts.request);
  return { timeout: limit, max_stream_duration: { max_stream_duration: limit } };
}
