import { appendHeader, type HeaderFields, headerValue } from '../core/headers.js';
import { addressKey } from '../core/model/endpoint.js';
import type { PeerIdentity } from '../core/identity.js';
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

/**
 * Whose certificate a request came under: Envoy's `x-forwarded-client-cert` by `SANITIZE_SET`, with its fields Hash, Subject, URI and DNS. What a client has written there
 * itself goes: anybody could. "the Subject field ... the value is double-quoted" - Envoy, x-forwarded-client-cert.
 */
export function signClientCert(headers: HeaderFields, peer: PeerIdentity | undefined): void {
  delete headers['x-forwarded-client-cert'];
  if (peer === undefined) return;
  const { fingerprint, subject, uriSans, dnsSans } = peer;
  headers['x-forwarded-client-cert'] = [
    `Hash=${fingerprint}`,
    `Subject=${quoted(subject)}`,
    ...uriSans.map((uri) => `URI=${bare(uri)}`),
    ...dnsSans.map((name) => `DNS=${bare(name)}`),
  ].join(';');
}

/** Without what cannot stand in a header field. */
const quoted = (value: string): string =>
  `"${value.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, (character) => `\\${character}`)}"`;

/** Values with a separator in them are quoted. */
const bare = (value: string): string =>
  /^[\x21\x23-\x2b\x2d-\x3a\x3c\x3e-\x7e]*$/.test(value) ? value : quoted(value);
