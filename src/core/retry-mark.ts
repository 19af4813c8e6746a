import type { Protocol } from './call.js';
import type { HeaderFields } from './headers.js';

/**
 * Marks an attempt that repeats an earlier one, and every call made while such a request is served, so that no service below tries again: of four services
 * in a row that make three attempts each, the last would get 27 requests for one (Kitex's chain stop). Its value is `1`.
 */
export const RETRY_MARK = 'inmesh-retry';

type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Whether a request is a repetition, or was made for one, by our field, Envoy's or gRPC's. They come from outside: whoever sets one without need loses
 * nothing but the retries of its own request.
 */
export function isRetried(headers: Fields): boolean {
  if (first(headers[RETRY_MARK]) === '1') return true;
  // "x-envoy-attempt-count": the first attempt is 1; "grpc-previous-rpc-attempts": absent, or 0.
  return above(headers['x-envoy-attempt-count'], 1) || above(headers['grpc-previous-rpc-attempts'], 0);
}

function above(value: string | readonly string[] | undefined, bound: number): boolean {
  const text = first(value);
  return text !== undefined && /^\d{1,9}$/.test(text) && Number(text) > bound;
}

const first = (value: string | readonly string[] | undefined): string | undefined =>
  typeof value === 'string' || value === undefined ? value : value[0];

/** On later attempts over HTTP always; on all of them where the first has it (`include_request_attempt_count`). */
const ATTEMPT_COUNT = 'x-envoy-attempt-count';

/**
 * Says in the headers of an attempt after the first which one it is. `seen`: attempts before it that a server may have seen, "not including transparent
 * retries" (gRFC A6); where there is none it repeats nothing.
 */
export function markAttempt(headers: HeaderFields, protocol: Protocol, number: number, seen: number): void {
  if (protocol === 'grpc' && seen > 0) headers['grpc-previous-rpc-attempts'] = String(seen);
  if (protocol === 'http' || headers[ATTEMPT_COUNT] !== undefined) headers[ATTEMPT_COUNT] = String(number);
  if (seen > 0) headers[RETRY_MARK] = '1';
}
