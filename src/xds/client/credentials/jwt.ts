/** Three parts of base64url with dots between (RFC 7515, section 7.1): nothing that a header could not carry. */
const COMPACT = /^[\w-]+\.([\w-]+)\.[\w-]*$/;

/**
 * `exp` of a JWT, in milliseconds since the epoch; undefined when it is none or has none. "does not need to do full RFC-7519 validation
 * of the token (that is the responsibility of the server side)" - A97
 */
export function expiryOf(token: string): number | undefined {
  const payload = COMPACT.exec(token)?.[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    // "NumericDate", seconds, with a fraction perhaps (RFC 7519, section 2). JSON has numbers that are infinite here.
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined;
    return Number.isFinite(exp) ? (exp as number) * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
