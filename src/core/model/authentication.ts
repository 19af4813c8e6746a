import type { RouteMatch, StringMatch } from './match.js';

/** Where keys that tokens are verified with come from (RFC 7517). */
export type JwksSource =
  /** The document itself. */
  | { readonly kind: 'inline'; readonly text: string }
  /** Read again whenever it is `JwtProvider.keys.refreshMs` old. */
  | { readonly kind: 'file'; readonly path: string }
  /** Asked for by the mesh, with its policies, at this URL. */
  | { readonly kind: 'uri'; readonly uri: string; readonly timeoutMs: number };

/** How long keys hold. Milliseconds. */
export interface JwksCare {
  /** They are fetched again in the background when they are used and this old. Default 300_000 (Envoy `RemoteJwks.cache_duration`). */
  readonly refreshMs: number;
  /** While no newer ones can be had, the last good ones hold until they are this old; after that every token is refused. Default 86_400_000. */
  readonly keepMs: number;
}

export const DEFAULT_JWKS_CARE: JwksCare = { refreshMs: 300_000, keepMs: 86_400_000 };
/** Time limit of one fetch of keys. */
export const DEFAULT_JWKS_TIMEOUT_MS = 5_000;

/** RFC 7518 section 3.1, RFC 8037. Signatures that anybody can verify and only the issuer can make; `HS*` has to be asked for by name. */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
/** With a secret that issuer and verifier share. */
export const SYMMETRIC_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;
export type JwtAlgorithm = (typeof ASYMMETRIC_ALGORITHMS)[number] | (typeof SYMMETRIC_ALGORITHMS)[number];

/** Where tokens stand in a request (Envoy `from_headers`, `from_params`, `from_cookies`). */
export interface TokenLocations {
  /** `prefix`: text before the token, with its space; '' for none. Names in lower case. */
  readonly headers: readonly { readonly name: string; readonly prefix: string }[];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
}

/** `Authorization: Bearer …` and `?access_token=…` (RFC 6750; Envoy's default). */
export const DEFAULT_LOCATIONS: TokenLocations = {
  headers: [{ name: 'authorization', prefix: 'Bearer ' }],
  params: ['access_token'],
  cookies: [],
};

/** An issuer of tokens and how theirs are verified (Envoy `JwtProvider`). */
export interface JwtProvider {
  readonly name: string;
  /** `iss` must be this; undefined: any. */
  readonly issuer: string | undefined;
  /** `aud` must have one of these; empty: any. */
  readonly audiences: readonly string[];
  /** What `sub` must be; undefined: anything. */
  readonly subject: StringMatch | undefined;
  readonly jwks: JwksSource;
  readonly keys: JwksCare;
  readonly algorithms: readonly JwtAlgorithm[];
  /** How far clocks may be apart for `exp`, `nbf` and `iat`, in milliseconds. Default 60_000 (Envoy `clock_skew_seconds`). */
  readonly skewMs: number;
  /** A token without `exp` is refused. */
  readonly requireExpiration: boolean;
  /** A token that is good for longer than this from now is refused; undefined: as long as it likes. */
  readonly maxLifetimeMs: number | undefined;
  readonly from: TokenLocations;
  /** Whether the application sees the header that the token came in. */
  readonly forward: boolean;
  /** Header, in lower case, that hands the payload on, in base64url; undefined: none. */
  readonly payloadHeader: string | undefined;
  /** Headers, in lower case, that hand claims on; `claim` may lead into objects (`org.name`). What a client sends under such a name is taken away. */
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Tokens remembered as verified, until they expire. Default 1_000; 0: none. */
  readonly cacheSize: number;
}

/** What a request must bring (Envoy `JwtRequirement`). */
export type JwtRequirement =
  /** A token of this provider. `audiences`: in place of the provider's. */
  | { readonly kind: 'provider'; readonly provider: string; readonly audiences?: readonly string[] | undefined }
  | { readonly kind: 'any' | 'all'; readonly of: readonly JwtRequirement[] }
  /** No token will do, one that is not valid will not. */
  | { readonly kind: 'allow_missing' }
  /** Anything will do; a token that is valid is used. */
  | { readonly kind: 'allow_missing_or_failed' };

/** Authentication of end users by their tokens (Envoy's filter `jwt_authn`, as a route has it). The first rule that matches counts. */
export interface JwtAuthentication {
  readonly providers: readonly JwtProvider[];
  /** `requirement` undefined: nothing is asked of such requests, and none of their tokens is looked at. */
  readonly rules: readonly { readonly match: RouteMatch; readonly requirement: JwtRequirement | undefined }[];
  /** Preflights of browsers, which bring no token, pass (`bypass_cors_preflight`). */
  readonly bypassPreflight: boolean;
}
