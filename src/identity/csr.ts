import { createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import * as der from './der/write.js';
import { CSR, writePem } from './pem.js';

/** `ecdsa-p256` is the default everywhere: small, fast to make, and every TLS peer has it. */
export type KeyAlgorithm = 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-2048' | 'rsa-3072' | 'ed25519';

const generate = promisify(generateKeyPair) as unknown as (
  type: string,
  options: object,
) => Promise<{ privateKey: KeyObject }>;

/** A new private key, made on another thread. It never leaves the process: nothing here writes one down. */
export async function newPrivateKey(algorithm: KeyAlgorithm = 'ecdsa-p256'): Promise<KeyObject> {
  const [type, options] = KEYS[algorithm];
  return (await generate(type, options)).privateKey;
}

const KEYS: Readonly<Record<KeyAlgorithm, readonly [string, object]>> = {
  'ecdsa-p256': ['ec', { namedCurve: 'P-256' }],
  'ecdsa-p384': ['ec', { namedCurve: 'P-384' }],
  'rsa-2048': ['rsa', { modulusLength: 2048 }],
  'rsa-3072': ['rsa', { modulusLength: 3072 }],
  ed25519: ['ed25519', {}],
};

export interface RequestedNames {
  /** SPIFFE ID, the one URI that an SVID has. */
  readonly spiffeId?: string | undefined;
  readonly dns?: readonly string[] | undefined;
}

/** PKCS#10 (RFC 2986), PEM: asks a CA for a certificate of this key. It has no subject: who it is for stands in the SAN, which therefore is critical. */
export function certificateRequest(privateKey: KeyObject, { spiffeId, dns = [] }: RequestedNames): string {
  const names = [
    ...(spiffeId === undefined ? [] : [der.implicit(6, ascii(spiffeId))]),
    ...dns.map((name) => der.implicit(2, ascii(name))),
  ];
  const body = der.sequence(
    der.integer(0),
    der.sequence(),
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    der.explicit(0, ...(names.length === 0 ? [] : [extensionRequest(names)])),
  );
  const { identifier, digest } = signatureOf(privateKey);
  const signature = der.bitString(sign(digest, body, privateKey));
  return writePem(CSR, der.sequence(body, identifier, signature));
}

/** `extensionRequest` (RFC 2985 section 5.4.2) for a subjectAltName. */
function extensionRequest(names: readonly Buffer[]): Buffer {
  const subjectAltName = der.sequence(der.oid('2.5.29.17'), der.boolean(true), der.octetString(der.sequence(...names)));
  return der.sequence(der.oid('1.2.840.113549.1.9.14'), der.setOf(der.sequence(subjectAltName)));
}

/** IA5String. */
function ascii(name: string): Buffer {
  if (!/^[\x21-\x7e]+$/.test(name)) throw new TypeError('a name in a certificate request must be of printable ASCII');
  return Buffer.from(name, 'latin1');
}

export interface SignatureScheme {
  /** DER of the AlgorithmIdentifier. */
  readonly identifier: Buffer;
  readonly digest: string | null;
}

/** What a key signs with. */
export function signatureOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SignatureScheme {
  switch (asymmetricKeyType) {
    case 'ed25519':
      return { identifier: der.sequence(der.oid('1.3.101.112')), digest: null };
    case 'rsa':
      return { identifier: der.sequence(der.oid('1.2.840.113549.1.1.11'), der.nothing()), digest: 'sha256' };
    case 'ec':
      return asymmetricKeyDetails?.namedCurve === 'secp384r1'
        ? { identifier: der.sequence(der.oid('1.2.840.10045.4.3.3')), digest: 'sha384' }
        : { identifier: der.sequence(der.oid('1.2.840.10045.4.3.2')), digest: 'sha256' };
    default:
      throw new TypeError(`no certificate request with a key of type ${asymmetricKeyType}`);
  }
}
