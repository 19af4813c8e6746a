import type { Clock } from '../core/clock.js';
import { headerFields } from '../core/headers.js';
import { silentLogger } from '../core/log.js';
import type { JwtAuthentication, JwtRequirement } from '../core/model/authentication.js';
import type { Random } from '../core/random.js';
import { type Authentication, authenticate, type Verifiers } from '../identity/authn/authenticator.js';
import { Authenticators } from '../identity/authn/authenticators.js';
import { changesFor } from '../identity/authn/claim-headers.js';
import { otherParams } from '../identity/authn/locations.js';
import { isFailure, parseToken } from '../identity/authn/token.js';
import type { VerifiedToken, Verifier } from '../identity/authn/verifier.js';
import { pathFault } from '../identity/authz/path.js';
import type { AuthzRequest } from '../identity/authz/request.js';
import { RouteTable } from '../routing/table/table.js';
import { refusalFor } from '../server/authentication.js';
import { type Step, step } from './authz-steps.js';

interface Env {
  readonly clock: Clock;
  readonly random: Random;
}

/** What was found out of a request's tokens. */
interface Asked {
  /** Undefined: nothing asks for tokens. */
  readonly step: Step | undefined;
  /** As policies that come after see it. */
  readonly request: AuthzRequest;
}

/**
 * Holds a request to what is asked of tokens, as servers do. Claims that are given are those of a token that is verified; a token of its own is verified where its keys are
 * at hand, inline or in a file. Nobody is asked for keys: by those of a URL a token may be good or not.
 */
export async function askTokens(
  configured: readonly JwtAuthentication[],
  request: AuthzRequest,
  env: Env,
): Promise<Asked> {
  let asked: Asked = { step: undefined, request };
  for (const one of configured) {
    const next = await askOf(one, asked.request, request.claims !== undefined, env);
    asked = { request: next.request, step: outweighs(next.step, asked.step) ? next.step : asked.step };
    if (asked.step?.verdict === 'refuses') break;
  }
  return asked;
}

/** Of several filters that says most which asks for most. */
const outweighs = (now: Step | undefined, before: Step | undefined): boolean =>
  before === undefined || now?.verdict === 'refuses' || (now?.verdict === 'depends' && before.verdict === 'passes');

async function askOf(
  configured: JwtAuthentication,
  request: AuthzRequest,
  areClaimsGiven: boolean,
  { clock, random }: Env,
): Promise<Asked> {
  const { rules, bypassPreflight } = configured;
  const { headers } = request;
  const untouched = { step: step('JWT', 'passes', 'no token is required'), request };
  if (bypassPreflight && request.method === 'OPTIONS' && headers['origin'] && headers['access-control-request-method'])
    return untouched;
  const byPath = rules.some(({ match: { path } }) => path.kind === 'regex' || !['', '/'].includes(path.value));
  const fault = byPath ? pathFault(request.path) : undefined;
  if (fault !== undefined)
    return {
      step: step('JWT', 'refuses', `what is asked goes by the path, which is refused: ${fault}`),
      request,
    };
  const table = rules.map(({ match, requirement }) => ({ match, value: { requirement } }));
  const requirement = new RouteTable(table, { random }).find(request)?.requirement;
  if (requirement === undefined) return untouched;
  if (areClaimsGiven) return { step: takenAtTheirWord(requirement, configured, request), request };

  const verifiers = new Authenticators({ clock, logger: silentLogger, fetch: noKeys }).verifiers(configured);
  const found = await authenticate(request, requirement, verifiers);
  if (!isFailure(found) && found.length > 0)
    return { step: step('JWT', 'passes', `the token is verified: ${told(found)}`), request: asSeen(found) };
  const keysMissing = new Set<string>();
  const perhaps = await authenticate(request, requirement, withoutKeys(verifiers, keysMissing));
  if (!isFailure(perhaps) && perhaps.length > 0) {
    const because = `on keys that are not at hand (${[...keysMissing].join(', ')}): whether the token is signed with one of them (${told(perhaps)}); --claim in its place is taken at its word`;
    return { step: step('JWT', 'depends', because), request: asSeen(perhaps) };
  }
  if (!isFailure(found)) return { ...untouched, request: asSeen(found) };
  return { step: step('JWT', 'refuses', refused(found, requirement, configured)), request };

  /** Without tokens that are not forwarded, and with the headers that claims are handed on in. */
  function asSeen(tokens: readonly VerifiedToken[]): AuthzRequest {
    const fields = headerFields(headers);
    const changes = changesFor(configured.providers, tokens, fields) ?? {};
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined || value.length === 0) delete fields[name];
      else fields[name] = value;
    }
    const params = tokens.flatMap(({ provider: { forward, from } }) => (forward ? [] : from.params));
    return {
      ...request,
      headers: fields,
      path: otherParams(request.path, params),
      claims: tokens[0]?.claims ?? request.claims,
    };
  }
}

const noKeys = (): Promise<string> => Promise.reject(new Error('nobody is asked for keys here'));

/** The same verifiers, for which a token is good if nothing but its keys is wanting. `missing` is told where these come from. */
const withoutKeys = (verifiers: Verifiers, missing: Set<string>): Verifiers =>
  new Map(
    [...verifiers].map(([name, of]) => {
      const { provider } = of;
      const verify: Verifier['verify'] = async (text, audiences) => {
        const result = await of.verify(text, audiences);
        const token = parseToken(text);
        if (!isFailure(result) || result.problem !== 'keys_unavailable' || isFailure(token)) return result;
        missing.add(provider.jwks.kind === 'uri' ? provider.jwks.uri : result.detail);
        return { provider, claims: token.claims, payload: token.payload };
      };
      return [name, { provider, verify }];
    }),
  );

const told = (tokens: readonly VerifiedToken[]): string =>
  tokens
    .map(
      ({ claims: { iss, sub } }) => `issuer ${JSON.stringify(iss) ?? 'none'}, subject ${JSON.stringify(sub) ?? 'none'}`,
    )
    .join('; ');

function refused(
  failed: Extract<Authentication, { readonly problem: string }>,
  requirement: JwtRequirement,
  configured: JwtAuthentication,
): string {
  if (failed.problem === 'missing') return `a token is required: ${providersOf(requirement, configured).join(', ')}`;
  const { status } = refusalFor(failed, 'http');
  return `the token is refused with ${status}: ${failed.problem.replaceAll('_', ' ')}: ${failed.detail}`;
}

function takenAtTheirWord(requirement: JwtRequirement, of: JwtAuthentication, { claims }: AuthzRequest): Step {
  if (isMet(requirement, of, claims))
    return step('JWT', 'passes', 'the claims are taken for those of a verified token');
  return step('JWT', 'refuses', `a token of another issuer is required: ${providersOf(requirement, of).join(', ')}`);
}

function isMet(requirement: JwtRequirement, of: JwtAuthentication, claims: AuthzRequest['claims']): boolean {
  switch (requirement.kind) {
    case 'provider': {
      const issuer = of.providers.find(({ name }) => name === requirement.provider)?.issuer;
      return issuer === undefined || (claims?.['iss'] ?? issuer) === issuer;
    }
    case 'any':
      return requirement.of.some((one) => isMet(one, of, claims));
    case 'all':
      return requirement.of.every((one) => isMet(one, of, claims));
    case 'allow_missing_or_failed':
      return true;
    case 'allow_missing':
      return of.providers.some(({ issuer }) => issuer === undefined || (claims?.['iss'] ?? issuer) === issuer);
  }
}

function providersOf(requirement: JwtRequirement, of: JwtAuthentication): string[] {
  if (requirement.kind === 'any' || requirement.kind === 'all')
    return requirement.of.flatMap((one) => providersOf(one, of));
  const named = requirement.kind === 'provider' ? [requirement.provider] : of.providers.map(({ name }) => name);
  return named.map((name) => {
    const issuer = of.providers.find((provider) => provider.name === name)?.issuer;
    return issuer === undefined ? name : `${name} (${issuer})`;
  });
}
