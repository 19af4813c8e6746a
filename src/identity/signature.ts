import { type KeyObject, verify } from 'node:crypto';
import { readWhole, TAG } from './der/read.js';

/** What X.509 signs: a part, an algorithm and a signature. */
export interface Signed {
  /** DER. */
  readonly signedPart: Buffer;
  /** DER of the AlgorithmIdentifier. */
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
}

interface Scheme {
  readonly digest: string | null;
  readonly keyType: string;
}

/** RFC 5758, RFC 4055 and RFC 8410. Those with SHA-1 or MD5 are not believed; RSASSA-PSS, whose parameters are a language of their own, neither. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
  '1.2.840.10045.4.3.2': { digest: 'sha256', keyType: 'ec' },
  '1.2.840.10045.4.3.3': { digest: 'sha384', keyType: 'ec' },
  '1.2.840.10045.4.3.4': { digest: 'sha512', keyType: 'ec' },
  '1.2.840.113549.1.1.11': { digest: 'sha256', keyType: 'rsa' },
  '1.2.840.113549.1.1.12': { digest: 'sha384', keyType: 'rsa' },
  '1.2.840.113549.1.1.13': { digest: 'sha512', keyType: 'rsa' },
  '1.3.101.112': { digest: null, keyType: 'ed25519' },
  '1.3.101.113': { digest: null, keyType: 'ed448' },
};

/** False as well where the algorithm is not known, or is not that of the key. */
export function isSignedBy({ signedPart, signatureAlgorithm, signature }: Signed, key: KeyObject): boolean {
  const oid = readWhole(signatureAlgorithm, TAG.sequence, 'signature algorithm').oid();
  const scheme = Object.hasOwn(SCHEMES, oid) ? SCHEMES[oid] : undefined;
  if (scheme === undefined || key.asymmetricKeyType !== scheme.keyType) return false;
  try {
    return verify(scheme.digest, signedPart, key, signature);
  } catch {
    // OpenSSL throws at signatures that are not even in the form of one.
    return false;
  }
}
