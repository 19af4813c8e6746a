import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import * as der from '../../src/identity/der/write.js';
import { type Extension, extensions } from './pki-extensions.js';

/** Keys and signatures of test certificates. */
export type Algorithm = 'p256' | 'p384' | 'rsa' | 'ed25519';

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface Issuer extends KeyPair {
  readonly name: string;
}

export function keyPair(alg: Algorithm): KeyPair {
  switch (alg) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
  }
}

export const publicOf = (certificate: string): KeyObject => new X509Certificate(certificate).publicKey;

/** What is signed of a certificate. */
export interface Body {
  readonly serial?: Uint8Array;
  readonly subject: Buffer;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Extension[];
}

/** PEM. */
export function signed(issuer: Issuer, body: Body): string {
  const tbs = der.sequence(
    der.explicit(0, der.integer(2)),
    der.integer(body.serial ?? newSerial()),
    algorithm(issuer.privateKey),
    distinguishedName(issuer.name),
    der.sequence(der.time(body.notBefore), der.time(body.notAfter)),
    body.subject,
    spki(body.publicKey),
    der.explicit(3, extensions(body.extensions)),
  );
  return pem('CERTIFICATE', signedDer(issuer.privateKey, tbs));
}

/** Positive, 16 bytes. */
export const newSerial = (): Uint8Array => randomBytes(16).fill(0x11, 0, 1);

/** `CN=name`; empty: no name at all. */
export const distinguishedName = (name: string): Buffer =>
  name === '' ? der.sequence() : der.sequence(der.setOf(der.sequence(der.oid('2.5.4.3'), der.utf8String(name))));

/** SHA-1 of the key, as RFC 5280 section 4.2.1.2 has it. */
export const keyId = (key: KeyObject): Buffer => createHash('sha1').update(spki(key)).digest();

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

export const signedDer = (key: KeyObject, body: Buffer): Buffer =>
  der.sequence(body, algorithm(key), der.bitString(sign(digest(key), body, key)));

const curve = (key: KeyObject): string | undefined => key.asymmetricKeyDetails?.namedCurve;

function digest(key: KeyObject): string | null {
  if (key.asymmetricKeyType === 'ed25519') return null;
  return curve(key) === 'secp384r1' ? 'sha384' : 'sha256';
}

export function algorithm(key: KeyObject): Buffer {
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return der.sequence(der.oid('1.3.101.112'));
    case 'rsa':
      return der.sequence(der.oid('1.2.840.113549.1.1.11'), der.nothing());
    default:
      return der.sequence(der.oid(curve(key) === 'secp384r1' ? '1.2.840.10045.4.3.3' : '1.2.840.10045.4.3.2'));
  }
}

export function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
