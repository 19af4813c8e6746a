import type { JwtProvider, JwtRequirement } from '../../core/model/authentication.js';
import { failure, type TokenFailure } from './failure.js';
import { MAX_TOKENS, type TokenRequest, tokensAt } from './locations.js';
import { isFailure } from './token.js';
import type { VerifiedToken, Verifier } from './verifier.js';

/** What came of a request's tokens: those that are good, in the order in which they were asked for, or why it is refused. */
export type Authentication = readonly VerifiedToken[] | TokenFailure;

type Pending<T> = T | Promise<T>;

/** Verifier of a provider by its name. */
export type Verifiers = ReadonlyMap<string, Pick<Verifier, 'provider' | 'verify'>>;

/**
 * Decides whether a request brings what is asked of it (Envoy `JwtRequirement`). At once wherever its tokens are known; else a promise, which never rejects.
 */
export function authenticate(
  request: TokenRequest,
  requirement: JwtRequirement,
  verifiers: Verifiers,
): Pending<Authentication> {
  switch (requirement.kind) {
    case 'provider':
      return ofProvider(request, requirement, verifiers);
    case 'all':
      return allOf(request, requirement.of, 0, [], verifiers);
    case 'any':
      return anyOf(request, requirement.of, 0, undefined, verifiers);
    case 'allow_missing':
      return whatThereIs(request, verifiers, false);
    case 'allow_missing_or_failed':
      return whatThereIs(request, verifiers, true);
  }
}

function ofProvider(
  request: TokenRequest,
  { provider, audiences }: Extract<JwtRequirement, { readonly kind: 'provider' }>,
  verifiers: Verifiers,
): Pending<Authentication> {
  const verifier = verifiers.get(provider);
  if (verifier === undefined) return failure('issuer', `there is no provider "${provider}"`);
  const tokens = tokensAt(request, verifier.provider.from);
  const [token] = tokens;
  if (token === undefined) return MISSING;
  // RFC 6750 section 2: "Clients MUST NOT use more than one method to transmit the token in each request."
  if (tokens.length > 1) return SEVERAL;
  const result = verifier.verify(token, audiences);
  return result instanceof Promise ? result.then(one) : one(result);
}

function allOf(
  request: TokenRequest,
  of: readonly JwtRequirement[],
  from: number,
  found: readonly VerifiedToken[],
  verifiers: Verifiers,
): Pending<Authentication> {
  let tokens = found;
  for (let i = from; i < of.length; i++) {
    const result = authenticate(request, of[i] as JwtRequirement, verifiers);
    if (result instanceof Promise)
      return result.then((late) =>
        isFailure(late) ? late : allOf(request, of, i + 1, joined(tokens, late), verifiers),
      );
    if (isFailure(result)) return result;
    tokens = joined(tokens, result);
  }
  return tokens;
}

/** `worst`: what the first that found a token said of it, which tells more than that others found none. */
function anyOf(
  request: TokenRequest,
  of: readonly JwtRequirement[],
  from: number,
  worst: TokenFailure | undefined,
  verifiers: Verifiers,
): Pending<Authentication> {
  let told = worst;
  for (let i = from; i < of.length; i++) {
    const result = authenticate(request, of[i] as JwtRequirement, verifiers);
    if (result instanceof Promise)
      return result.then((late) => (isFailure(late) ? anyOf(request, of, i + 1, worse(told, late), verifiers) : late));
    if (!isFailure(result)) return result;
    told = worse(told, result);
  }
  return told ?? MISSING;
}

/** Tokens that happen to be there, at the places of any provider. */
function whatThereIs(request: TokenRequest, verifiers: Verifiers, failedToo: boolean): Pending<Authentication> {
  const tokens = new Set<string>();
  for (const { provider } of verifiers.values())
    for (const token of tokensAt(request, provider.from)) tokens.add(token);
  if (tokens.size === 0) return NOTHING;
  if (tokens.size > MAX_TOKENS) return failedToo ? NOTHING : SEVERAL;
  return each([...tokens], request, verifiers, failedToo);
}

/** Each must be good for a provider that looks at its place; or is passed over, where that will do. */
async function each(
  tokens: readonly string[],
  request: TokenRequest,
  verifiers: Verifiers,
  failedToo: boolean,
): Promise<Authentication> {
  const found: VerifiedToken[] = [];
  for (const token of tokens) {
    let told: TokenFailure | undefined;
    let good: VerifiedToken | undefined;
    for (const verifier of verifiers.values()) {
      if (!tokensAt(request, verifier.provider.from).includes(token)) continue;
      const result = await verifier.verify(token);
      if (isFailure(result)) told = worse(told, result);
      else {
        good = result;
        break;
      }
    }
    if (good !== undefined) found.push(good);
    else if (!failedToo) return told ?? MISSING;
  }
  return found;
}

const one = (result: VerifiedToken | TokenFailure): Authentication => (isFailure(result) ? result : [result]);

const joined = (a: readonly VerifiedToken[], b: readonly VerifiedToken[]): readonly VerifiedToken[] => [
  ...a,
  ...b.filter((token) => !a.includes(token)),
];

const NOTHING: readonly VerifiedToken[] = Object.freeze([]);
const MISSING = failure('missing', 'the request brings no token');
const SEVERAL = failure('several', 'the request brings several tokens');

/** A token of another issuer says less of what went wrong than one of the right issuer that is not good, and none at all says least. */
function worse(before: TokenFailure | undefined, now: TokenFailure): TokenFailure {
  if (before === undefined) return now;
  return weight(now) > weight(before) ? now : before;
}

const weight = ({ problem }: TokenFailure): number => (problem === 'missing' ? 0 : problem === 'issuer' ? 1 : 2);

/** Headers, in lower case, that a provider hands on: whatever a client sends under these names is not to be believed. */
export const handedOn = ({ payloadHeader, claimHeaders }: JwtProvider): readonly string[] => [
  ...(payloadHeader === undefined ? [] : [payloadHeader]),
  ...claimHeaders.map(({ header }) => header),
];
