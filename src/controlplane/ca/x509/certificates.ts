import { createHash, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import type { Extension } from '@peculiar/x509';
import { readCertificates } from '../../../identity/certificate.js';
import { BACKDATE_SHARE, MAX_BACKDATE_MS } from '../constants.js';
import { signingKey } from './algorithms.js';
import { x509Library } from './library.js';

/** Who signs: the issuer's certificate and its key. */
export interface Issuer {
  readonly certificate: string;
  readonly key: KeyObject;
  /** DER of its distinguished name, as it is in its certificate: peers compare the bytes (RFC 5280 7.1: "binary comparison"). */
  readonly name: Buffer;
  /** Key identifier, hex. */
  readonly keyId: string;
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
export function issuerOf(certificate: string, key: KeyObject): Issuer {
  // The first of the chain.
  const { subject, subjectKeyId, publicKey, notAfter } = readCertificates(certificate)[0];
  return { certificate, key, name: subject, keyId: subjectKeyId?.toString('hex') ?? keyIdOf(publicKey), notAfter };
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
  const signer = await signingKey(issuer?.key ?? key);
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject,
    issuer: issuer === undefined ? subject : new x509.Name(issuer.name),
    notBefore: new Date(content.notBefore),
    notAfter: new Date(Math.min(content.notAfter, issuer?.notAfter ?? content.notAfter)),
    publicKey,
    signingKey: signer.cryptoKey,
    signingAlgorithm: signer.algorithm,
    extensions,
  });
  return `${made.toString('pem')}\n`;
}
