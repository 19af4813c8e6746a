import { appendHeader, type HeaderFields, headerValue } from '../core/headers.js';
import { addressKey } from '../core/model/endpoint.js';
import type { Random } from '../core/random.js';
import { clientAddress } from '../server/remote-address.js';

/** The name under which this proxy signs what it forwards: its own, so that it knows a request that comes round again. */
export const pseudonym = (random: Random): string =>
  `inmesh-${random
    .int(2 ** 32)
    .toString(16)
    .padStart(8, '0')}`;

/** Whether a request has been here: "A sender... MAY use Via for detecting request loops" (RFC 9110 section 7.6.3). */
export const passedBefore = (headers: HeaderFields, name: string): boolean =>
  headerValue(headers, 'via')?.includes(` ${name}`) ?? false;

/** Both are `ip:port`: that of the connection, or that of the client that trusted proxies tell of, whose port nobody knows (Envoy says 0). */
export function forwardedClient(
  remote: string | undefined,
  forwardedFor: string | string[] | undefined,
  trustedHops: number,
): string | undefined {
  const told = clientAddress(undefined, forwardedFor, trustedHops);
  return told === undefined ? remote : addressKey({ host: told, port: 0 });
}

/**
 * Says who forwards for whom: Via, which a proxy must send (RFC 9110 section 7.6.3), and the two that servers read: `x-forwarded-for`,
 * appended, and `x-forwarded-proto`, where the first proxy's word stays.
 */
export function signForwarded(headers: HeaderFields, version: string, name: string, client: string | undefined): void {
  appendHeader(headers, 'via', `${version} ${name}`);
  const before = headerValue(headers, 'x-forwarded-for');
  if (client !== undefined) headers['x-forwarded-for'] = before === undefined ? client : `${before}, ${client}`;
  headers['x-forwarded-proto'] ??= 'http';
}
