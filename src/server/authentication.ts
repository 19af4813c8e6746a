import type { Protocol } from '../core/call.js';
import { outsideOfCalls } from '../core/context.js';
import { headerFields } from '../core/headers.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { JwtAuthentication, JwtRequirement } from '../core/model/authentication.js';
import type { RouteConfiguration } from '../core/model/route.js';
import type { FilterChain } from '../core/model/server.js';
import type { Random } from '../core/random.js';
import { authenticate, type Authentication } from '../identity/authn/authenticator.js';
import { Authenticators } from '../identity/authn/authenticators.js';
import { changesFor } from '../identity/authn/claim-headers.js';
import type { TokenFailure } from '../identity/authn/failure.js';
import { otherParams } from '../identity/authn/locations.js';
import { MAX_JWKS_BYTES } from '../identity/authn/key-set.js';
import { isFailure } from '../identity/authn/token.js';
import type { VerifiedToken } from '../identity/authn/verifier.js';
import { judgedPath } from '../identity/authz/path.js';
import { RouteTable } from '../routing/table/table.js';
import type { InboundContext } from './context.js';
import { callers } from './enforced.js';
import type { Gate, Passage } from './gate.js';
import { lastAsking } from './last-asking.js';
import type { Outbound } from '../core/outbound.js';
import { NO_OUTBOUND } from './outbound.js';
import type { PolicyEnv } from './policies.js';
import type { Refusal } from './refusal.js';
import type { SecurityPolicy } from './security.js';

/** Those of a mesh, whose servers have their keys in common. */
const shared = new WeakMap<Outbound, Authenticators>();

/** Who the user is: tokens (JWT) are verified as the routes say, and their claims are at hand from there on. */
export function authentication({ clock, random, logger, meter, outbound = NO_OUTBOUND }: PolicyEnv): SecurityPolicy {
  let authenticators = shared.get(outbound);
  if (authenticators === undefined) {
    authenticators = new Authenticators({
      clock,
      logger,
      fetch: (uri, timeoutMs) => fetchText(outbound, uri, timeoutMs),
    });
    shared.set(outbound, authenticators);
  }
  const of = authenticators;
  const gates = new WeakMap<JwtAuthentication, AuthenticationGate>();
  const gateOf = (configured: JwtAuthentication): AuthenticationGate => {
    let gate = gates.get(configured);
    if (gate === undefined) {
      gate = new AuthenticationGate(configured, of, { random, logger, meter });
      gates.set(configured, gate);
    }
    return gate;
  };
  return {
    gate(chain, route, routes) {
      const configured = route === undefined ? elsewhere(chain, routes) : route.authentication;
      const [first, ...others] = (configured ?? []).map(gateOf);
      return others.length === 0 ? first : first && inTurn([first, ...others]);
    },
  };
}

/** What is asked of requests that no route takes. */
function elsewhere(
  chain: FilterChain,
  routes: RouteConfiguration | undefined,
): readonly JwtAuthentication[] | undefined {
  const own = chain.authentication?.filter(({ rules }) => rules.length > 0);
  if (own !== undefined && own.length > 0) return own;
  return lastAsking(chain, routes, ({ authentication }) => authentication !== undefined)?.authentication;
}

/** Each filter of a listener must let a request through. */
const inTurn = (gates: readonly Gate[]): Gate => ({
  refusal(context, protocol) {
    for (let i = 0; i < gates.length; i++) {
      const passage = (gates[i] as Gate).refusal(context, protocol);
      if (passage instanceof Promise)
        return passage.then((refused) => refused ?? inTurn(gates.slice(i + 1)).refusal(context, protocol));
      if (passage !== undefined) return passage;
    }
    return undefined;
  },
});

async function fetchText(outbound: Outbound, uri: string, timeoutMs: number): Promise<string> {
  const url = new URL(uri);
  // The keys are everybody's: their fetch does not end with the request that happened to need them.
  const reply = await outsideOfCalls(() =>
    outbound.http({
      authority: url.host,
      scheme: url.protocol === 'https:' ? 'https' : 'http',
      method: 'GET',
      path: `${url.pathname}${url.search}`,
      headers: headerFields({ accept: 'application/jwk-set+json, application/json' }),
      timeoutMs,
      maxBytes: MAX_JWKS_BYTES,
    }),
  );
  if (reply.status !== 200) throw new Error(`${uri} answered ${reply.status}`);
  return Buffer.from(reply.body).toString('utf8');
}

/** Holds requests to one configuration. Each request once, however often it is looked at. */
class AuthenticationGate implements Gate {
  readonly #seen = new WeakSet<InboundContext>();
  /** What is asked goes by the path: then only paths are served that nobody can read in two ways, as with authorization. */
  readonly #judgesPath: boolean;
  readonly #rules: RouteTable<{ readonly requirement: JwtRequirement | undefined }>;

  constructor(
    private readonly configured: JwtAuthentication,
    private readonly authenticators: Authenticators,
    private readonly env: { readonly random: Random; readonly logger: Logger; readonly meter: Meter },
  ) {
    const rules = configured.rules.map(({ match, requirement }) => ({ match, value: { requirement } }));
    this.#rules = new RouteTable(rules, { random: env.random });
    this.#judgesPath = configured.rules.some(
      ({ match: { path } }) => path.kind === 'regex' || !['', '/'].includes(path.value),
    );
    // Keys are fetched before the first request.
    authenticators.verifiers(configured);
  }

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    const { view } = context;
    if (view === undefined || this.#seen.has(context)) return undefined;
    this.#seen.add(context);
    const { configured } = this;
    if (configured.bypassPreflight && isPreflight(view)) return this.#done(context, []);
    if (this.#judgesPath && judgedPath(view.path) === undefined) return AMBIGUOUS;
    const requirement = this.#rules.find(view)?.requirement;
    if (requirement === undefined) return this.#done(context, []);
    const found = authenticate(view, requirement, this.authenticators.verifiers(configured));
    return found instanceof Promise
      ? found.then((late) => this.#decided(late, context, protocol))
      : this.#decided(found, context, protocol);
  }

  #decided(found: Authentication, context: InboundContext, protocol: Protocol): Passage {
    if (!isFailure(found)) return this.#done(context, found);
    this.env.meter.event({ kind: 'authn:refused', protocol, reason: found.problem });
    this.env.logger.debug('a request is refused for its token', { ...found, path: context.view?.path.split('?')[0] });
    return refusalFor(found, protocol);
  }

  #done(context: InboundContext, tokens: readonly VerifiedToken[]): undefined {
    const changes = changesFor(this.configured.providers, tokens, context.view?.headers);
    if (changes !== undefined) {
      context.addRequestHeaders(changes);
      // Policies that come after see what the handler will: no claim that the client made up, no token that is not to be forwarded.
      const headers = context.view?.headers;
      if (headers !== undefined)
        for (const name in changes) {
          const value = changes[name] as string | string[];
          if (value.length === 0) delete headers[name];
          else headers[name] = value;
        }
    }
    this.#takeParams(context, tokens);
    const [first] = tokens;
    if (first === undefined) return undefined;
    const { iss, sub } = first.claims;
    context.caller = {
      ...context.caller,
      claims: first.claims,
      // Istio's `requestPrincipals`: "<ISS>/<SUB>".
      ...(typeof iss === 'string' && typeof sub === 'string' && { requestPrincipal: `${iss}/${sub}` }),
    };
    if (context.view !== undefined) callers.set(context.view.raw, context.caller);
    return undefined;
  }

  /** Tokens that are not to be forwarded, out of the query: for policies that come after, and for the handler (Envoy since 1.31). */
  #takeParams(context: InboundContext, tokens: readonly VerifiedToken[]): void {
    const { view } = context;
    if (view === undefined || !view.path.includes('?')) return;
    const names = tokens.flatMap(({ provider: { forward, from } }) => (forward ? [] : from.params));
    const path = otherParams(view.path, names);
    if (path === view.path) return;
    view.path = path;
    context.takenParams = [...(context.takenParams ?? []), ...names];
  }
}

/** "CORS preflight": OPTIONS with an origin and the method that is to come (Fetch). */
const isPreflight = ({ method, headers }: Pick<NonNullable<InboundContext['view']>, 'method' | 'headers'>): boolean =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;

/**
 * RFC 6750 section 3: 401 with a challenge, which says nothing more where no token was sent, and `invalid_token` where one will not do. A wrong audience is 403, as in Envoy.
 * No more than that is told: what was wrong is in our log.
 */
export function refusalFor({ problem }: TokenFailure, protocol: Protocol): Refusal {
  if (problem === 'keys_unavailable') return UNAVAILABLE;
  const forbidden = problem === 'audience';
  const error =
    problem === 'missing' ? '' : problem === 'several' ? ' error="invalid_request"' : ' error="invalid_token"';
  const status = forbidden ? 403 : problem === 'several' ? 400 : 401;
  return {
    status,
    grpcStatus: forbidden ? PERMISSION_DENIED : UNAUTHENTICATED,
    code: 'UNAUTHENTICATED',
    flag: 'UAEX',
    message: MESSAGES[problem] ?? 'the token is not valid',
    // gRPC has a status of its own for this.
    ...(protocol === 'http' && { headers: headerFields({ 'www-authenticate': `Bearer${error}` }) }),
  };
}

const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;

const MESSAGES: Partial<Record<TokenFailure['problem'], string>> = {
  missing: 'a token is required',
  several: 'the request brings several tokens',
  expired: 'the token has expired',
  audience: 'the token is not for this audience',
};

const AMBIGUOUS: Refusal = {
  status: 400,
  grpcStatus: PERMISSION_DENIED,
  code: 'ACCESS_DENIED',
  flag: 'MZ',
  message: 'the path is ambiguous',
};

/** Not the user's fault, and another token would not help; Envoy says 401 here. */
const UNAVAILABLE: Refusal = {
  status: 503,
  grpcStatus: 14,
  code: 'UNAUTHENTICATED',
  flag: 'UAEX',
  message: 'tokens cannot be verified at the moment',
};
