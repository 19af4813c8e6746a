import type { Clock } from './clock.js';
import type { HeaderFields } from './headers.js';

/**
 * How long a server asks to be left alone, in milliseconds: `grpc-retry-pushback-ms` of the trailers (gRFC A6), or `Retry-After`, in seconds or as a
 * date (RFC 9110 section 10.2.3). Undefined: it does not say, or not so that it can be understood.
 */
export function askedToWaitMs(
  headers: HeaderFields,
  trailers: HeaderFields | undefined,
  clock: Pick<Clock, 'wallTime'>,
): number | undefined {
  const pushback = first(trailers?.['grpc-retry-pushback-ms'] ?? headers['grpc-retry-pushback-ms']);
  if (pushback !== undefined) return /^\d{1,10}$/.test(pushback) ? Number(pushback) : undefined;
  const after = first(headers['retry-after'])?.trim();
  if (after === undefined) return undefined;
  if (/^\d{1,10}$/.test(after)) return Number(after) * 1_000;
  const date = Date.parse(after);
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.wallTime());
}

const first = (value: string | readonly string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.[0];
