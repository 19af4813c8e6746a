import { TIMEOUT_HEADER } from '../core/mesh-headers.js';

/** Milliseconds per unit of `grpc-timeout` (gRPC over HTTP/2: TimeoutUnit). */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** `grpc-timeout` in milliseconds: "a positive integer as ASCII string of at most 8 digits" and a unit; undefined when it is none. */
export function grpcTimeoutMs(value: string | undefined): number | undefined {
  const match = value === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(value);
  return match === null ? undefined : Number(match[1]) * (UNITS[match[2] as string] as number);
}

/** Whole milliseconds: `inmesh-timeout-ms`, and `x-envoy-expected-rq-timeout-ms` (Envoy, HTTP header manipulation); undefined when it is none. */
export function expectedTimeoutMs(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** How long the caller still waits, in milliseconds: the shortest that any of the fields says; Infinity when none does. */
export function timeLeftMs(field: (name: string) => string | undefined): number {
  return Math.min(
    expectedTimeoutMs(field(TIMEOUT_HEADER)) ?? Number.POSITIVE_INFINITY,
    expectedTimeoutMs(field('x-envoy-expected-rq-timeout-ms')) ?? Number.POSITIVE_INFINITY,
    grpcTimeoutMs(field('grpc-timeout')) ?? Number.POSITIVE_INFINITY,
  );
}
