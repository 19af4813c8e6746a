import type { CryptoKey, JWK } from 'jose';
import type { JwtAlgorithm } from '../../core/model/authentication.js';

/** Bytes of a JWKS document: some hundred keys. */
export const MAX_JWKS_BYTES = 262_144;
/** Keys of one document that are looked at. */
const MAX_KEYS = 100;
/** Keys tried for a token that does not say which: each costs as much as a signature. */
const MAX_TRIED = 8;

/** A key by what kinds of signature it can be asked for: never one that it was not made for (RFC 8725 section 3.1, RFC 7518 section 6). */
interface Key {
  readonly id: string | undefined;
  readonly algorithms: readonly JwtAlgorithm[];
  readonly jwk: JWK;
  /** By algorithm; made when it is first needed. */
  readonly imported: Map<JwtAlgorithm, Promise<CryptoKey | Uint8Array | undefined>>;
}

const RSA: readonly JwtAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const CURVES: Readonly<Record<string, JwtAlgorithm>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' };
const HMAC: readonly JwtAlgorithm[] = ['HS256', 'HS384', 'HS512'];
/** Public members of each type (RFC 7518 section 6, RFC 8037 section 2), but for `k`, which is all that a shared secret is. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
  oct: ['k'],
};

/** The keys of an issuer at one moment. Immutable. */
export class KeySet {
  private constructor(
    private readonly keys: readonly Key[],
    /** The document that they came in. */
    readonly text: string,
  ) {}

  /** Reads a JWKS. Keys that cannot be used for signatures, or are of an unknown kind, are left out (RFC 7517 section 5). Throws where none is left. */
  static parse(text: string): KeySet {
    if (text.length > MAX_JWKS_BYTES)
      throw new Error(`the keys have ${text.length} characters; ${MAX_JWKS_BYTES} at most`);
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      throw new Error('the keys are no JSON (a JWKS is expected: RFC 7517)');
    }
    const listed = (document as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(listed)) throw new Error('the keys have no list "keys" (a JWKS is expected: RFC 7517)');
    const keys = listed.slice(0, MAX_KEYS).flatMap((value: unknown) => keyOf(value) ?? []);
    if (keys.length === 0) throw new Error(`none of the ${listed.length} keys can verify a signature`);
    return new KeySet(keys, text);
  }

  /** Those that may have made a signature of this kind under this id, best first. A key without an id may have any (as in Envoy). */
  candidates(algorithm: JwtAlgorithm, id: string | undefined): readonly Key[] {
    const fit = this.keys.filter(
      (key) => key.algorithms.includes(algorithm) && (id === undefined || key.id === undefined || key.id === id),
    );
    return fit.sort((a, b) => Number(b.id === id) - Number(a.id === id)).slice(0, MAX_TRIED);
  }
}

/** For jose. Undefined: the key is not what it says. */
export function importedKey(
  key: ReturnType<KeySet['candidates']>[number],
  algorithm: JwtAlgorithm,
  importJWK: (jwk: JWK, algorithm: string) => Promise<CryptoKey | Uint8Array>,
): Promise<CryptoKey | Uint8Array | undefined> {
  let imported = key.imported.get(algorithm);
  if (imported === undefined) {
    imported = importJWK(key.jwk, algorithm).catch(() => undefined);
    key.imported.set(algorithm, imported);
  }
  return imported;
}

function keyOf(value: unknown): Key | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const given = value as Readonly<Record<string, unknown>>;
  const { kty, kid, alg, use, key_ops: operations } = given;
  // "use" and "key_ops" say what a key may be used for (RFC 7517 sections 4.2 and 4.3).
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  const possible = algorithmsOf(kty, given.crv);
  const algorithms = alg === undefined ? possible : possible.filter((name) => name === alg || isEdDsa(name, alg));
  if (algorithms.length === 0) return undefined;
  // A private key has no business here, and none of it is kept.
  const jwk: Record<string, unknown> = { kty };
  for (const member of MEMBERS[kty as string] ?? []) {
    if (typeof given[member] !== 'string') return undefined;
    jwk[member] = given[member];
  }
  return { id: typeof kid === 'string' ? kid : undefined, algorithms, jwk: jwk as JWK, imported: new Map() };
}

function algorithmsOf(kty: unknown, curve: unknown): readonly JwtAlgorithm[] {
  switch (kty) {
    case 'RSA':
      return RSA;
    case 'EC': {
      const found = typeof curve === 'string' && Object.hasOwn(CURVES, curve) ? CURVES[curve] : undefined;
      return found === undefined ? [] : [found];
    }
    case 'OKP':
      return curve === 'Ed25519' ? ['EdDSA'] : [];
    case 'oct':
      return HMAC;
    default:
      return [];
  }
}

/** RFC 9864 calls it by its curve. */
const isEdDsa = (name: JwtAlgorithm, alg: unknown): boolean => name === 'EdDSA' && alg === 'Ed25519';
