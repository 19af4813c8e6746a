import type { HeaderFields } from '../../core/headers.js';
import type { FaultShare } from '../../core/model/fault.js';

/**
 * Fields by which a caller asks for faults, of those that the configuration allows it to ask for (Envoy, "Controlling fault injection via HTTP headers";
 * gRFC A33 has all but the throughput). They are passed on, as in Envoy.
 */
export const DELAY = 'x-envoy-fault-delay-request';
export const DELAY_PERCENTAGE = 'x-envoy-fault-delay-request-percentage';
export const ABORT = 'x-envoy-fault-abort-request';
export const ABORT_GRPC = 'x-envoy-fault-abort-grpc-request';
export const ABORT_PERCENTAGE = 'x-envoy-fault-abort-request-percentage';
export const THROUGHPUT = 'x-envoy-fault-throughput-response';
export const THROUGHPUT_PERCENTAGE = 'x-envoy-fault-throughput-response-percentage';
/** By which an Envoy says which node it is. */
export const DOWNSTREAM_NODE = 'x-envoy-downstream-service-node';

/** `FaultShare.of` where it is not set: `FractionalPercent.denominator` is HUNDRED by default. */
const HUNDRED = 100;

/** A whole number in a field. "only the first value is used" (Envoy), and "the invalid headers will be ignored" (gRFC A33). */
export function wholeNumber(headers: HeaderFields, name: string): number | undefined {
  const value = headers[name];
  const text = (typeof value === 'object' ? value[0] : value)?.trim();
  return text !== undefined && /^\+?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The share that a percentage field leaves of what is configured. "its maximum value is capped by the value of the numerator" - Envoy, gRFC A33. */
export function capped({ share, of = HUNDRED }: FaultShare, headers: HeaderFields, name: string): number {
  const numerator = wholeNumber(headers, name);
  return numerator === undefined ? share : Math.min(numerator / of, share);
}

/** HTTP status or gRPC status that the caller asks for. "If http status code is set, then gRPC status won't be used" - Envoy. */
export function abortAskedFor(
  headers: HeaderFields,
): { readonly kind: 'http' | 'grpc'; readonly status: number } | undefined {
  const http = wholeNumber(headers, ABORT);
  // "must be in the range [200, 600)" - Envoy
  if (http !== undefined && http >= 200 && http < 600) return { kind: 'http', status: http };
  const status = wholeNumber(headers, ABORT_GRPC);
  return status === undefined ? undefined : { kind: 'grpc', status };
}

/** Bytes per second that the caller asks for, in KiB/s and "> 0" (Envoy). */
export function throughputAskedFor(headers: HeaderFields): number | undefined {
  const kibibytes = wholeNumber(headers, THROUGHPUT);
  return kibibytes === undefined || kibibytes === 0 ? undefined : kibibytes * 1_024;
}
