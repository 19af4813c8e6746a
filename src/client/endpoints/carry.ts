import type { Clock } from '../../core/clock.js';
import type { Filter } from '../../core/service.js';

/** "at most 8 digits" - gRPC over HTTP/2, grpc-timeout. */
const MAX_TIMEOUT_VALUE = 99_999_999;

/** Tells the server how long we still wait: `grpc-timeout`, or Envoy's `x-envoy-expected-rq-timeout-ms` for other protocols. */
export const carryDeadline =
  (env: { readonly clock: Clock }): Filter =>
  (next) =>
  (call) => {
    if (call.deadline !== Number.POSITIVE_INFINITY) {
      const leftMs = Math.max(0, call.deadline - env.clock.now());
      if (call.protocol === 'grpc') call.headers['grpc-timeout'] = grpcTimeout(leftMs);
      else call.headers['x-envoy-expected-rq-timeout-ms'] = String(Math.ceil(leftMs));
    }
    return next(call);
  };

/** In microseconds below 10 s, where they matter; then in milliseconds, seconds, minutes. Rounded up, never to a longer unit than needed. */
export function grpcTimeout(ms: number): string {
  const micros = Math.ceil(ms * 1_000);
  if (micros <= 10_000_000) return `${micros}u`;
  if (ms <= MAX_TIMEOUT_VALUE) return `${Math.ceil(ms)}m`;
  const seconds = Math.ceil(ms / 1_000);
  return seconds <= MAX_TIMEOUT_VALUE ? `${seconds}S` : `${Math.min(MAX_TIMEOUT_VALUE, Math.ceil(seconds / 60))}M`;
}
