import { createPrivateKey, generateKeyPair, type KeyObject, webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { CaError } from '../errors.js';

/** Kinds of keys that the authority can have, and accepts from those who ask. */
export const KEY_ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-4096', 'ed25519'] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

export const DEFAULT_ALGORITHM: KeyAlgorithm = 'ecdsa-p256';

/** RSA keys of those who ask, in bits: below is weak (NIST SP 800-131A), above costs every handshake too much. */
const RSA_BITS = { min: 2_048, max: 4_096 };
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

const generate = promisify(generateKeyPair);

export async function newKey(algorithm: KeyAlgorithm): Promise<KeyObject> {
  switch (algorithm) {
    case 'ecdsa-p256':
      return (await generate('ec', { namedCurve: 'P-256' })).privateKey;
    case 'ecdsa-p384':
      return (await generate('ec', { namedCurve: 'P-384' })).privateKey;
    case 'ed25519':
      return (await generate('ed25519')).privateKey;
    default:
      return (await generate('rsa', { modulusLength: algorithm === 'rsa-2048' ? 2_048 : 4_096 })).privateKey;
  }
}

/** Throws where the key is of a kind or strength that no certificate is given for. */
export function checkKey(key: KeyObject): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return;
  if (type === 'ec') {
    if (CURVES[details?.namedCurve ?? ''] !== undefined) return;
    throw new CaError(
      'bad_request',
      `the key is on the curve ${details?.namedCurve}: P-256, P-384 and P-521 are accepted`,
    );
  }
  if (type === 'rsa') {
    const bits = details?.modulusLength ?? 0;
    const exponent = details?.publicExponent ?? 0n;
    if (bits < RSA_BITS.min || bits > RSA_BITS.max)
      throw new CaError('bad_request', `the RSA key has ${bits} bits: ${RSA_BITS.min} to ${RSA_BITS.max} are accepted`);
    // "an odd positive integer public exponent e [...] 2^16 < e < 2^256" - FIPS 186-5, A.1.1.
    if (exponent <= 65_536n || exponent % 2n === 0n)
      throw new CaError('bad_request', `the RSA key has the public exponent ${exponent}: 65537 is usual`);
    return;
  }
  throw new CaError('bad_request', `keys of type ${type} are not accepted: ECDSA, RSA and Ed25519 are`);
}

/** A key as the signing library takes it. */
export interface SigningKey {
  readonly cryptoKey: webcrypto.CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash?: string; readonly namedCurve?: string };
}

export async function signingKey(key: KeyObject): Promise<SigningKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const algorithm = signatureOf(key);
  const cryptoKey = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
  der.fill(0);
  return { cryptoKey, algorithm };
}

function signatureOf(key: KeyObject): SigningKey['algorithm'] {
  if (key.asymmetricKeyType === 'ed25519') return { name: 'Ed25519' };
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const namedCurve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'P-256';
  return { name: 'ECDSA', namedCurve, hash: namedCurve === 'P-256' ? 'SHA-256' : 'SHA-384' };
}

/** A private key of a PEM file; `place` is for the message, which never quotes the file. */
export function readPrivateKey(pem: string, place: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new CaError('state', `${place}: this is no private key in PEM that can be read without a passphrase`);
  }
}
