import { DecodeError } from '../core/decode.js';
import { checkAudience, checkIdentity, checkTimes } from './authn/check-claims.js';
import { KeySet } from './authn/key-set.js';
import { type Claims, isFailure, type ParsedToken, parseToken } from './authn/token.js';
import { signedBy } from './authn/verifier.js';
import { parseSpiffeId, parseWorkloadId } from './spiffe-id.js';

/** A workload's identity as a token, for one audience (SPIFFE JWT-SVID). */
export interface JwtSvid {
  readonly spiffeId: string;
  /** For `authorization: Bearer …`. Whoever has it is taken for the workload: it is no thing for logs. */
  readonly token: string;
  readonly audience: readonly string[];
  /** Wall-clock milliseconds. */
  readonly expiresAt: number;
  readonly claims: Claims;
  /** Which of several identities of a workload this is. Absent: none. */
  readonly hint?: string | undefined;
}

/** Why a token will not do. The message is for us: it tells nothing of the token but what is wrong with it. */
export class JwtSvidError extends Error {
  override readonly name = 'JwtSvidError';
}

/** How far the clocks of issuer and verifier may be apart: "a small amount of leeway is acceptable" (JWT-SVID appendix A); that of certificates. */
export const JWT_SKEW_MS = 20_000;

/** JWT-SVID section 2.1: of RFC 7518 sections 3.3 to 3.5, no more. */
const ALGORITHMS: ReadonlySet<string> = new Set(
  ['RS', 'ES', 'PS'].flatMap((family) => ['256', '384', '512'].map((size) => family + size)),
);

/** Section 3: `sub` is whose it is, `aud` and `exp` must be there. */
const RULES = {
  issuer: undefined,
  subject: undefined,
  requireExpiration: true,
  maxLifetimeMs: undefined,
  skewMs: JWT_SKEW_MS,
};

/** Keys of each trust domain by its name. */
export type JwtBundles = ReadonlyMap<string, KeySet>;

/**
 * Reads JWK sets by trust domain, or by its SPIFFE ID. Keys for other purposes are left out: "Implementations MUST extract the JWT-SVID specific keys before
 * using them" (section 6.2); a set without a `use` in it is one that holds nothing else (Workload API section 6.2.2). A domain without any key vouches for nobody.
 */
export function readJwtBundles(texts: Iterable<readonly [string, string]>): JwtBundles {
  const bundles = new Map<string, KeySet>();
  for (const [id, text] of texts) {
    const { trustDomain } = parseSpiffeId(id.startsWith('spiffe://') ? id : `spiffe://${id}`);
    const listed = (JSON.parse(text) as { readonly keys?: unknown } | null)?.keys;
    if (!Array.isArray(listed)) throw new JwtSvidError(`the JWT bundle of ${trustDomain} has no list "keys"`);
    const keys = listed.flatMap((key: unknown) => {
      const { use, ...rest } = (key ?? {}) as Record<string, unknown>;
      return use === undefined || use === 'jwt-svid' || use === 'sig' ? [rest] : [];
    });
    if (keys.length > 0) bundles.set(trustDomain, KeySet.parse(JSON.stringify({ keys })));
  }
  return bundles;
}

/** Rejects with a JwtSvidError that says what is wrong with the token. `audience`: who the verifier is; the token must be meant for it. */
export async function verifyJwtSvid(
  token: string,
  audience: string,
  bundles: JwtBundles,
  wallTime: number,
): Promise<JwtSvid> {
  const { parsed, svid } = taken(token);
  const wrong =
    checkAudience(svid.claims, [audience]) ?? checkTimes(svid.claims, { ...RULES, audiences: [] }, wallTime);
  if (wrong !== undefined) throw new JwtSvidError(wrong.detail);
  const { trustDomain } = parseWorkloadId(svid.spiffeId);
  // "If a JWT bundle for the specified trust domain is not present, then the token is untrusted" - Workload API section 6.3
  const keys = bundles.get(trustDomain);
  if (keys === undefined) throw new JwtSvidError(`there is no JWT bundle of the trust domain ${trustDomain}`);
  const result = await signedBy(parsed, keys, await import('jose'));
  if (result !== 'good') throw new JwtSvidError(`the signature is by no key of the trust domain ${trustDomain}`);
  return svid;
}

/** One's own token: form and claims are checked, its signature and its times are not. */
export const readJwtSvid = (token: string, hint?: string): JwtSvid => {
  const { svid } = taken(token);
  return hint === undefined ? svid : { ...svid, hint };
};

function taken(token: string): { readonly parsed: ParsedToken; readonly svid: JwtSvid } {
  const parsed = parseToken(token);
  if (isFailure(parsed)) throw new JwtSvidError(parsed.detail);
  const { algorithm, claims } = parsed;
  if (!ALGORITHMS.has(algorithm)) throw new JwtSvidError(`algorithm ${algorithm} is none that a JWT-SVID may have`);
  const { typ } = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString()) as {
    typ?: unknown;
  };
  // "The `typ` header is optional. If set, its value MUST be either `JWT` or `JOSE`" - section 2.3
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw new JwtSvidError('typ is neither JWT nor JOSE');
  const wrong = checkIdentity(claims, { ...RULES, audiences: [] });
  if (wrong !== undefined) throw new JwtSvidError(wrong.detail);
  const audience = typeof claims['aud'] === 'string' ? [claims['aud']] : claims['aud'];
  if (!Array.isArray(audience) || audience.length === 0 || audience.some((it) => typeof it !== 'string'))
    throw new JwtSvidError('it has no aud, and so is meant for nobody');
  try {
    const { id: spiffeId } = parseWorkloadId(claims['sub'], 'sub');
    const expiresAt = (claims['exp'] as number) * 1_000;
    return { parsed, svid: { spiffeId, token, audience: audience as string[], expiresAt, claims } };
  } catch (error) {
    if (error instanceof DecodeError) throw new JwtSvidError(`sub ${error.problem}`);
    throw error;
  }
}
