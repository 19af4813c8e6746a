import { appendHeader, type HeaderFields, headerValue } from '../core/headers.js';
import type { Random } from '../core/random.js';

/** The name under which this proxy signs what it forwards: its own, so that it knows a request that comes round again. */
export const pseudonym = (random: Random): string =>
  `inmesh-${random
    .int(2 ** 32)
    .toString(16)
    .padStart(8, '0')}`;

/** Whether a request has been here: "A sender... MAY use Via for detecting request loops" (RFC 9110 section 7.6.3). */
export const passedBefore = (headers: HeaderFields, name: string): boolean =>
  headerValue(headers, 'via')?.includes(` ${name}`) ?? false;

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
