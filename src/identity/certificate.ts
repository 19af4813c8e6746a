import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { DerError, DerReader, explicitTag, readWhole, TAG } from './der/read.js';
import { type Extensions, readExtensions } from './extensions.js';
import { CERTIFICATE, PemError, readPem } from './pem.js';

/**
 * A certificate, read by our own reader (RFC 5280 section 4.1): what OpenSSL's and Node's text of it cannot be trusted with, or does not say. Nothing is
 * verified here.
 */
export interface Certificate extends Extensions {
  readonly der: Buffer;
  /** Hex, upper case, as Node shows it. */
  readonly serialNumber: string;
  /** DER, to be compared byte by byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Wall-clock milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** What the signature is over. */
  readonly signedPart: Buffer;
  /** DER of its algorithm. */
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
}

/** No certificate of a leaf or CA is as large; more is made to be slow. */
const MAX_CERTIFICATE_BYTES = 64 * 1024;

/** Throws a DerError. */
export function readCertificate(der: Buffer, what = 'certificate'): Certificate {
  const outer = readWhole(der, TAG.sequence, what);
  if (der.length > MAX_CERTIFICATE_BYTES)
    throw outer.error(`has ${der.length} bytes: ${MAX_CERTIFICATE_BYTES} at most`);
  const signed = outer.value(TAG.sequence);
  const signatureAlgorithm = outer.value(TAG.sequence).whole;
  const signature = outer.bitString();
  outer.end();

  const body = new DerReader(signed.content, what);
  const version = body.enterOptional(explicitTag(0))?.smallInteger() ?? 0;
  const serialNumber = body.integer().toString('hex').toUpperCase();
  // "MUST contain the same algorithm identifier as the signatureAlgorithm field" - section 4.1.2.3
  if (!body.value(TAG.sequence).whole.equals(signatureAlgorithm)) throw body.error('names two signature algorithms');
  const issuer = body.value(TAG.sequence).whole;
  const validity = body.enter(TAG.sequence);
  const notBefore = validity.time();
  const notAfter = validity.time();
  const subject = body.value(TAG.sequence).whole;
  const publicKey = body.value(TAG.sequence).whole;
  // issuerUniqueID and subjectUniqueID: "MUST NOT" be used, and of no use here.
  body.optional(0x81);
  body.optional(0x82);
  const extensions = body.enterOptional(explicitTag(3));
  if (extensions !== undefined && version !== 2) throw body.error('has extensions, but is not of version 3');
  body.end();
  return {
    der,
    serialNumber,
    issuer,
    subject,
    notBefore,
    notAfter,
    publicKey,
    signedPart: signed.whole,
    signatureAlgorithm,
    signature,
    ...readExtensions(extensions, what),
  };
}

/** The certificates of a PEM text, in its order: one at least. Throws a PemError or DerError that says which of them is wrong. */
export function readCertificates(pem: string): [Certificate, ...Certificate[]] {
  const [first, ...rest] = readPem(pem, CERTIFICATE);
  if (first === undefined) throw new PemError('PEM: no certificate in it');
  return [readCertificate(first), ...rest.map((der, i) => readCertificate(der, `certificate number ${i + 2}`))];
}

/** Throws a DerError where OpenSSL cannot make a key of it: a point that is on no curve, a kind that it does not have. */
export function publicKeyOf({ publicKey }: Pick<Certificate, 'publicKey'>): KeyObject {
  try {
    return createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch {
    throw new DerError('certificate has a public key that is none');
  }
}

/** SHA-256 of the certificate, hex, lower case. */
export const fingerprint = (der: Uint8Array): string => createHash('sha256').update(der).digest('hex');

/** Whether its issuer is itself, by name. */
export const isSelfIssued = ({ issuer, subject }: Certificate): boolean => issuer.equals(subject);
