import type { JwtProvider } from '../../core/model/authentication.js';
import { stringTest } from '../../routing/match/strings.js';
import { failure, type TokenFailure } from './failure.js';
import type { Claims } from './token.js';

type Rules = Pick<JwtProvider, 'issuer' | 'audiences' | 'subject' | 'skewMs' | 'requireExpiration' | 'maxLifetimeMs'>;

/** What does not change: issuer, subject, and the form of the times. Undefined: nothing is wrong. */
export function checkIdentity(claims: Claims, rules: Rules): TokenFailure | undefined {
  const { iss, sub } = claims;
  if (rules.issuer !== undefined && iss !== rules.issuer)
    return failure('issuer', `iss is not ${JSON.stringify(rules.issuer)}`);
  if (iss !== undefined && typeof iss !== 'string') return failure('malformed', 'iss is no string');
  if (sub !== undefined && typeof sub !== 'string') return failure('malformed', 'sub is no string');
  if (rules.subject !== undefined && !(sub !== undefined && stringTest(rules.subject)(sub)))
    return failure('subject', 'sub is none that the provider may speak for');
  for (const name of ['exp', 'nbf', 'iat'] as const) {
    const value = claims[name];
    // RFC 7519 section 2, NumericDate: a JSON number of seconds, fractions allowed.
    if (value !== undefined && !(typeof value === 'number' && Number.isFinite(value)))
      return failure('malformed', `${name} is no number`);
  }
  if (claims.exp === undefined && (rules.requireExpiration || rules.maxLifetimeMs !== undefined))
    return failure('lifetime', 'it has no exp, and would be good for ever');
  return undefined;
}

/** RFC 7519 section 4.1.3: `aud` is one name or several. */
export function checkAudience(claims: Claims, audiences: readonly string[]): TokenFailure | undefined {
  if (audiences.length === 0) return undefined;
  const of = typeof claims.aud === 'string' ? [claims.aud] : Array.isArray(claims.aud) ? claims.aud : [];
  return of.some((name) => audiences.includes(name as string))
    ? undefined
    : failure('audience', `aud has none of ${audiences.map((name) => JSON.stringify(name)).join(', ')}`);
}

/** What changes as time goes by; `now` is wall time in milliseconds. Of claims that `checkIdentity` has passed. */
export function checkTimes(claims: Claims, rules: Rules, now: number): TokenFailure | undefined {
  const { skewMs, maxLifetimeMs } = rules;
  const exp = ms(claims.exp);
  // RFC 7519 section 4.1.4: "on or after which the JWT MUST NOT be accepted", leeway included.
  if (exp !== undefined && now >= exp + skewMs) return failure('expired', `expired ${seconds(now - exp)} s ago`);
  const nbf = ms(claims.nbf);
  if (nbf !== undefined && now + skewMs < nbf)
    return failure('not_yet_valid', `not valid for another ${seconds(nbf - now)} s (nbf)`);
  const iat = ms(claims.iat);
  if (iat !== undefined && now + skewMs < iat)
    return failure('not_yet_valid', `issued ${seconds(iat - now)} s in the future (iat)`);
  if (maxLifetimeMs !== undefined && exp !== undefined && exp - now > maxLifetimeMs + skewMs)
    return failure('lifetime', `good for another ${seconds(exp - now)} s; ${seconds(maxLifetimeMs)} s at most`);
  return undefined;
}

const ms = (value: unknown): number | undefined => (typeof value === 'number' ? value * 1_000 : undefined);
const seconds = (value: number): number => Math.round(value / 1_000);
