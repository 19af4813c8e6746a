import type { Call } from '../../core/call.js';

/** "TimeoutValue → {positive integer as ASCII string of at most 8 digits}" - grpc/doc/PROTOCOL-HTTP2.md. */
const MAX_VALUE = 99_999_999;
/** Units from the finest that we can tell apart to the coarsest, each with its milliseconds. */
const UNITS = [
  ['m', 1],
  ['S', 1_000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const;

/** A duration in milliseconds as the wire has it, rounded up so that a call is never cut short: 1_500 is `1500m`. At least `1m`. */
export function formatGrpcTimeout(ms: number): string {
  for (const [unit, size] of UNITS) {
    const value = Math.max(1, Math.ceil(ms / size));
    if (value <= MAX_VALUE) return `${value}${unit}`;
  }
  return `${MAX_VALUE}H`;
}

/**
 * Tells the server how long the caller still waits. Called for each attempt, just before it is sent, so that waiting and earlier
 * attempts are deducted. `now` is monotonic milliseconds.
 */
export function writeGrpcTimeout(call: Call, now: number): void {
  if (call.deadline === Number.POSITIVE_INFINITY) delete call.headers['grpc-timeout'];
  else call.headers['grpc-timeout'] = formatGrpcTimeout(call.deadline - now);
}
