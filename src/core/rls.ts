/*
 * Envoy's rate limit service, `envoy.service.ratelimit.v3`, as plain values. Field numbers are in rls-read.ts and rls-write.ts.
 */

/** The one method of the service. */
export const RLS_METHOD = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

/** `RateLimitResponse.Code`. */
export const RLS_OK = 1;
export const RLS_OVER_LIMIT = 2;

const DAY_MS = 86_400_000;

/**
 * Length of a window by `RateLimitResponse.RateLimit.Unit`, in milliseconds, as envoyproxy/ratelimit counts: a month has 30 days and a year 365, and each
 * window begins at a multiple of its length since the epoch.
 */
export const RLS_UNIT_MS: Readonly<Record<number, number>> = {
  1: 1_000,
  2: 60_000,
  3: 3_600_000,
  4: DAY_MS,
  5: 30 * DAY_MS,
  6: 365 * DAY_MS,
  7: 7 * DAY_MS,
};

/** The unit of a window of that length; undefined: there is none. */
export const rlsUnitOf = (perMs: number): number | undefined => UNITS.get(perMs);
const UNITS: ReadonlyMap<number, number> = new Map(Object.entries(RLS_UNIT_MS).map(([unit, ms]) => [ms, Number(unit)]));

/** Key and value. */
export type RlsPair = readonly [key: string, value: string];

/** `RateLimitDescriptor`. */
export interface RlsDescriptor {
  readonly entries: readonly RlsPair[];
  /** Of the caller, in place of the limit that the service has. */
  readonly limit: { readonly requestsPerUnit: number; readonly unit: number } | undefined;
  /** Over that of the request; 0 looks and takes nothing. */
  readonly hitsAddend: number | undefined;
}

/** `RateLimitRequest`. */
export interface RlsRequest {
  readonly domain: string;
  readonly descriptors: readonly RlsDescriptor[];
  /** 0: not said, which is 1. */
  readonly hitsAddend: number;
}

/** `RateLimitResponse.DescriptorStatus`. */
export interface RlsStatus {
  readonly code: number;
  readonly currentLimit: { readonly name: string; readonly requestsPerUnit: number; readonly unit: number } | undefined;
  readonly limitRemaining: number;
  /** Milliseconds, from `duration_until_reset`. */
  readonly resetMs: number | undefined;
}

/** `RateLimitResponse`. */
export interface RlsResponse {
  readonly overallCode: number;
  readonly statuses: readonly RlsStatus[];
  readonly responseHeaders: readonly RlsPair[];
  readonly requestHeaders: readonly RlsPair[];
  /** For the body of a refusal; empty for none. */
  readonly rawBody: Uint8Array;
}
