import { isHeaderValue } from '../../core/header-syntax.js';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import type { JwtProvider } from '../../core/model/authentication.js';
import { handedOn } from './authenticator.js';
import { otherCookies } from './locations.js';
import type { Claims } from './token.js';
import type { VerifiedToken } from './verifier.js';

/**
 * What the application is to see: claims in their headers, the payload in its own, and no token where it is not to be forwarded. An empty list takes a header away:
 * those that are handed on are, whatever a client has put there. Tokens in the query are no matter of headers (`otherParams`); `headers` are the request's, for its cookies.
 */
export function changesFor(
  providers: readonly JwtProvider[],
  tokens: readonly VerifiedToken[],
  headers: HeaderFields = NO_HEADERS,
): HeaderFields | undefined {
  let changes: HeaderFields | undefined;
  for (const provider of providers)
    for (const name of handedOn(provider)) {
      changes ??= headerFields();
      changes[name] = [];
    }
  for (const { provider, claims, payload } of tokens) {
    if (provider.payloadHeader !== undefined) {
      changes ??= headerFields();
      changes[provider.payloadHeader] = payload;
    }
    for (const { header, claim } of provider.claimHeaders) {
      const text = headerText(claimAt(claims, claim));
      if (text === undefined) continue;
      changes ??= headerFields();
      changes[header] = text;
    }
    if (provider.forward) continue;
    for (const { name } of provider.from.headers) {
      changes ??= headerFields();
      changes[name] ??= [];
    }
    const { cookies } = provider.from;
    if (cookies.length === 0 || headers['cookie'] === undefined) continue;
    changes ??= headerFields();
    changes['cookie'] = otherCookies(changes['cookie'] ?? headers['cookie'], cookies);
  }
  return changes;
}

const NO_HEADERS = Object.freeze(headerFields());

/** `org.name` is the member `name` of the object `org`, unless a claim is called so itself (`https://example.com/org`). */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let at: unknown = claims;
  for (const name of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Claims)[name];
  }
  return at;
}

/** Texts, numbers and booleans as they are; lists and objects as JSON in base64url (Envoy `claim_to_headers`). Undefined: nothing that a header can hold. */
function headerText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return isHeaderValue(value) ? value : undefined;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      return value === null ? undefined : Buffer.from(JSON.stringify(value)).toString('base64url');
    default:
      return undefined;
  }
}
