import type { Priority } from './call.js';

/** Header fields that services of the mesh tell each other, beside those of others (docs/policies.md). */

/**
 * Whole milliseconds that the caller still waits, over HTTP. Beside Envoy's `x-envoy-expected-rq-timeout-ms`, which every Envoy on the way sets to the
 * timeout of its own route, or takes out where it does not trust the caller.
 */
export const TIMEOUT_HEADER = 'inmesh-timeout-ms';
/** `high`, `default` or `batch`: what is shed last and first. Over HTTP, and as metadata over gRPC. */
export const PRIORITY_HEADER = 'inmesh-priority';
/** On a reply that stands in for the destination's: which kind of fallback it is. */
export const FALLBACK_HEADER = 'inmesh-fallback';

/** A field that is none of the three says nothing. */
export function parsePriority(value: unknown): Priority | undefined {
  return value === 'high' || value === 'default' || value === 'batch' ? value : undefined;
}
