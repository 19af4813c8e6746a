import { type JwtAlgorithm, ASYMMETRIC_ALGORITHMS, SYMMETRIC_ALGORITHMS } from '../../core/model/authentication.js';
import { failure, type TokenFailure } from './failure.js';

/** Characters of a token. Node's servers take 16 KiB of header fields in all. */
export const MAX_TOKEN_LENGTH = 16_384;
/** Characters of `kid`. */
const MAX_KEY_ID = 1_024;

/** Claims of a payload, as its JSON has them. */
export type Claims = Readonly<Record<string, unknown>>;

/** A token taken apart. Nothing in it has been verified. */
export interface ParsedToken {
  readonly text: string;
  readonly algorithm: JwtAlgorithm;
  readonly keyId: string | undefined;
  readonly claims: Claims;
  /** The second part, as it stands. */
  readonly payload: string;
}

/** RFC 7515 section 7.1: three parts in base64url, without padding. */
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const ALGORITHMS: ReadonlySet<string> = new Set([...ASYMMETRIC_ALGORITHMS, ...SYMMETRIC_ALGORITHMS]);

/**
 * Takes a token apart (RFC 7515, 7519). What the header says about where its key is to be found (`jwk`, `jku`, `x5c`, `x5u`) is never followed: whoever makes up
 * a token could name keys of his own. `crit` asks for extensions, of which there are none here; with it goes `b64` (RFC 7797 section 7: not for JWTs).
 */
export function parseToken(text: string): ParsedToken | TokenFailure {
  if (text.length > MAX_TOKEN_LENGTH)
    return failure('too_large', `a token of ${text.length} characters; ${MAX_TOKEN_LENGTH} at most`);
  const parts = COMPACT.exec(text);
  if (parts === null) return failure('malformed', 'not three parts in base64url (an encrypted token has five)');
  const [, head, payload] = parts as unknown as [string, string, string, string];
  const header = object(head);
  const claims = object(payload);
  if (header === undefined) return failure('malformed', 'the header is no JSON object');
  if (claims === undefined) return failure('malformed', 'the payload is no JSON object');
  const { alg, kid } = header;
  // RFC 8725 section 3.1: only algorithms from a list of our own; "none" is in nobody's.
  if (typeof alg !== 'string' || !ALGORITHMS.has(alg))
    return failure('algorithm', `algorithm ${named(alg)} is not supported`);
  if (header.crit !== undefined || header.b64 !== undefined)
    return failure('critical', 'the header asks for extensions (crit, b64)');
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KEY_ID))
    return failure('malformed', `kid must be a string of at most ${MAX_KEY_ID} characters`);
  return { text, algorithm: alg as JwtAlgorithm, keyId: kid, claims, payload };
}

export const isFailure = (result: object): result is TokenFailure => 'problem' in result;

function object(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(Buffer.from(part, 'base64url')));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const named = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 20)) : 'of no name';
