import { isIPv4 } from 'node:net';
import * as der from '../../../identity/der/write.js';
import { CERTIFICATE, writePem } from '../../../identity/pem.js';
import { type Issuer, keyIdOf } from './certificates.js';
import { authorityKeyId, extension, signed } from './sign.js';

/** What a leaf is to say. All of it has been decided by attestation. */
export interface LeafContent {
  readonly spiffeId: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Hex, without leading zeros that carry nothing. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

const VERSION_3 = der.explicit(0, der.integer(2));
const NO_NAME = der.sequence();
const SUBJECT_ALTERNATIVE_NAME = der.oid('2.5.29.17');
const SUBJECT_KEY_ID = der.oid('2.5.29.14');
/** What all leaves have: no CA (an empty SEQUENCE: FALSE is the default), `digitalSignature` alone, servers and clients. */
const COMMON = [
  extension(der.oid('2.5.29.19'), der.sequence(), true),
  extension(der.oid('2.5.29.15'), der.namedBits([0]), true),
  extension(der.oid('2.5.29.37'), der.sequence(der.oid('1.3.6.1.5.5.7.3.1'), der.oid('1.3.6.1.5.5.7.3.2'))),
];

/**
 * An X509-SVID (sections 2 to 4 of the standard): exactly one URI name, the SPIFFE ID; not a CA; `digitalSignature` and neither `keyCertSign` nor `cRLSign`;
 * server and client. The subject is empty, so the names are critical (RFC 5280 4.2.1.6). PEM.
 *
 * Written by hand, as the requests are read: there is one for each renewal, and a library that goes by schemas takes ten times as long for it as the signature does.
 */
export async function leafCertificate(content: LeafContent, issuer: Issuer): Promise<string> {
  const { spiffeId, dns, ips, publicKey, serial, notBefore, notAfter } = content;
  const names = der.sequence(
    der.implicit(6, Buffer.from(spiffeId, 'latin1')),
    ...dns.map((name) => der.implicit(2, Buffer.from(name, 'latin1'))),
    ...ips.map((ip) => der.implicit(7, addressBytes(ip))),
  );
  const extensions = der.sequence(
    ...COMMON,
    extension(SUBJECT_ALTERNATIVE_NAME, names, true),
    extension(SUBJECT_KEY_ID, der.octetString(Buffer.from(keyIdOf(publicKey), 'hex'))),
    authorityKeyId(issuer.keyId),
  );
  const certificate = await signed(
    (algorithm) =>
      der.sequence(
        VERSION_3,
        der.integer(Buffer.from(serial, 'hex')),
        algorithm,
        issuer.name,
        der.sequence(der.time(notBefore), der.time(notAfter)),
        NO_NAME,
        publicKey,
        der.explicit(3, extensions),
      ),
    issuer.key,
  );
  return writePem(CERTIFICATE, certificate);
}

/** Four or sixteen bytes, most significant first (RFC 5280 4.2.1.6). */
function addressBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  // The shortest form is the URL standard's, and has no dotted end; a zone has no place in a certificate, and none in a URL.
  const [left = '', right] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined): number[] =>
    part ? part.split(':').map((digits) => Number.parseInt(digits, 16)) : [];
  const [head, tail] = [groups(left), groups(right)];
  const bytes = Buffer.alloc(16);
  for (const [i, group] of head.entries()) bytes.writeUInt16BE(group, 2 * i);
  for (const [i, group] of tail.entries()) bytes.writeUInt16BE(group, 16 - 2 * (tail.length - i));
  return bytes;
}
