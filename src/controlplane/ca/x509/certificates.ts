import { createHash, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import type { Extension, Name, SubjectKeyIdentifierExtension } from '@peculiar/x509';
import { readCertificate } from '../../../identity/certificate.js';
import { BACKDATE_SHARE, MAX_BACKDATE_MS } from '../constants.js';
import { CaError } from '../errors.js';
import { type SigningKey, signingKey } from './algorithms.js';
import { x509Library } from './library.js';

/** Who signs: the issuer's certificate and its key. */
export interface Issuer {
  readonly certificate: string;
  readonly key: SigningKey;
  /** Distinguished name as it is in its certificate, kinds of strings included: peers compare the bytes (RFC 5280 7.1: "binary comparison"). */
  readonly name: Name;
  /** Key identifier, hex. */
  readonly keyId: string;
  readonly notAfter: number;
}

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

/** 128 bits of chance, as hex: positive, and without a leading zero byte, so that it is written alike by all ("unique", RFC 5280 4.1.2.2; at least 64 bits, CA/B). */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** When a certificate of that lifetime begins (`BACKDATE_SHARE`). */
export const backdated = (now: number, lifetimeMs: number): number =>
  now - Math.min(MAX_BACKDATE_MS, lifetimeMs * BACKDATE_SHARE);

/** RFC 5280 4.2.1.2, method (1): SHA-1 of the key's bits. Of SPKI it is its last member; hashing all of it identifies as well. */
export const keyIdOf = (spki: Uint8Array): string => createHash('sha1').update(spki).digest('hex');

export const fingerprintOf = (pem: string): string =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');

const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

/** An issuer from its parts. The key identifier is the one that the certificate has. */
export async function issuerOf(certificate: string, key: KeyObject): Promise<Issuer> {
  const { X509Certificate: Parsed } = await x509Library();
  // The first of the chain.
  const { raw } = new X509Certificate(certificate);
  const parsed = new Parsed(raw);
  if (!Buffer.from(parsed.subjectName.toArrayBuffer()).equals(readCertificate(raw).subject))
    throw new CaError(
      'state',
      `the signing certificate's name (${parsed.subject}) is in an encoding that cannot be repeated in what it signs: use UTF8String or PrintableString`,
    );
  const known = parsed.getExtension<SubjectKeyIdentifierExtension>('2.5.29.14')?.keyId;
  const keyId = known ?? keyIdOf(new Uint8Array(parsed.publicKey.rawData));
  return {
    certificate,
    key: await signingKey(key),
    name: parsed.subjectName,
    keyId,
    notAfter: parsed.notAfter.getTime(),
  };
}

export interface AuthorityContent {
  readonly trustDomain: string;
  readonly commonName: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** CA certificates that may follow it: 1 for a root, 0 for an intermediate (RFC 5280 4.2.1.9). */
  readonly pathLength: number;
}

/** A signing certificate (X509-SVID section 4: cA, keyCertSign, and a SPIFFE ID without a path). Self-signed without `issuer`. PEM. */
export async function authorityCertificate(
  content: AuthorityContent,
  key: KeyObject,
  issuer?: Issuer,
): Promise<string> {
  const x509 = await x509Library();
  const publicKey = spkiOf(key);
  const own = await signingKey(key);
  const subject = [{ CN: [content.commonName] }, { O: [content.trustDomain] }];
  const keyId = keyIdOf(publicKey);
  const usages = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const extensions: Extension[] = [
    new x509.BasicConstraintsExtension(true, content.pathLength, true),
    new x509.KeyUsagesExtension(usages, true),
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${content.trustDomain}` }]),
    new x509.SubjectKeyIdentifierExtension(keyId),
    new x509.AuthorityKeyIdentifierExtension(issuer?.keyId ?? keyId),
  ];
  const signer = issuer?.key ?? own;
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject,
    issuer: issuer?.name ?? subject,
    notBefore: new Date(content.notBefore),
    notAfter: new Date(Math.min(content.notAfter, issuer?.notAfter ?? content.notAfter)),
    publicKey,
    signingKey: signer.cryptoKey,
    signingAlgorithm: signer.algorithm,
    extensions,
  });
  return `${made.toString('pem')}\n`;
}

/**
 * An X509-SVID (sections 2 to 4 of the standard): exactly one URI name, the SPIFFE ID; not a CA; `digitalSignature` and neither `keyCertSign` nor `cRLSign`;
 * server and client. The subject is empty, so the names are critical (RFC 5280 4.2.1.6). PEM.
 */
export async function leafCertificate(content: LeafContent, issuer: Issuer): Promise<string> {
  const x509 = await x509Library();
  const names = [
    { type: 'url' as const, value: content.spiffeId },
    ...content.dns.map((value) => ({ type: 'dns' as const, value })),
    ...content.ips.map((value) => ({ type: 'ip' as const, value })),
  ];
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: content.serial,
    subject: '',
    issuer: issuer.name,
    notBefore: new Date(content.notBefore),
    notAfter: new Date(content.notAfter),
    publicKey: content.publicKey,
    signingKey: issuer.key.cryptoKey,
    signingAlgorithm: issuer.key.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(names, true),
      new x509.SubjectKeyIdentifierExtension(keyIdOf(content.publicKey)),
      new x509.AuthorityKeyIdentifierExtension(issuer.keyId),
    ],
  });
  return `${made.toString('pem')}\n`;
}
