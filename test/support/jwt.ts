import { createHmac, createSign, generateKeyPairSync, type KeyObject, sign as signWith } from 'node:crypto';

/** An issuer of tokens for tests: what it signs, any library of JWTs verifies. Its own code, so that what is wrong can be made too. */
export interface TestKey {
  readonly kid: string | undefined;
  readonly alg: string;
  readonly privateKey: KeyObject;
  /** Its entry in a JWKS. */
  readonly jwk: Record<string, unknown>;
}

const DIGEST: Readonly<Record<string, string>> = { 256: 'sha256', 384: 'sha384', 512: 'sha512' };
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

export function testKey(alg = 'RS256', kid: string | undefined = 'k1'): TestKey {
  const pair =
    alg === 'EdDSA'
      ? generateKeyPairSync('ed25519')
      : alg.startsWith('ES')
        ? generateKeyPairSync('ec', { namedCurve: CURVES[alg] as string })
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), ...(kid !== undefined && { kid }), use: 'sig' };
  return { kid, alg, privateKey: pair.privateKey, jwk };
}

export const jwks = (...keys: readonly TestKey[]): string => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });

export const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** `header` stands over what the key says. */
export function signToken(key: TestKey, claims: object, header: object = {}): string {
  const head = { alg: key.alg, ...(key.kid !== undefined && { kid: key.kid }), typ: 'JWT', ...header };
  const text = `${base64url(head)}.${base64url(claims)}`;
  return `${text}.${signature(key, text).toString('base64url')}`;
}

/** Signed with a secret, as HS256 is. */
export function hmacToken(secret: string | Buffer, claims: object, header: object = {}): string {
  const text = `${base64url({ alg: 'HS256', typ: 'JWT', ...header })}.${base64url(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

function signature({ alg, privateKey }: TestKey, text: string): Buffer {
  if (alg === 'EdDSA') return signWith(null, Buffer.from(text), privateKey);
  const digest = DIGEST[alg.slice(2)] as string;
  if (alg.startsWith('ES')) return signWith(digest, Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (alg.startsWith('PS'))
    return signWith(digest, Buffer.from(text), { key: privateKey, padding: 6, saltLength: Number(alg.slice(2)) / 8 });
  return createSign(digest).update(text).sign(privateKey);
}
