/*
 * What does it cost to know the user? A request's token, verified anew each time and known from before, by algorithm; and the same by jose alone with its own cached keys, as applications
 * do it themselves. A token that is known costs a hash of it and a look at the clock.
 */
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose';
import { systemClock as clock } from '../src/core/clock.js';
import { headerFields } from '../src/core/headers.js';
import { silentLogger as logger } from '../src/core/log.js';
import {
  ASYMMETRIC_ALGORITHMS,
  DEFAULT_JWKS_CARE,
  DEFAULT_LOCATIONS,
  type JwtProvider,
} from '../src/core/model/authentication.js';
import { authenticate } from '../src/identity/authn/authenticator.js';
import { Authenticators } from '../src/identity/authn/authenticators.js';
import { jwks, signToken, testKey } from '../test/support/jwt.js';
import { compareCpu, report, type Side } from './lib/compare.js';

const ISSUER = 'https://issuer.test';
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
const REQUIREMENT = { kind: 'provider', provider: 'p' } as const;
/** Requests of one turn where tokens are known. */
const KNOWN = 100;

const provider = (keys: string, cacheSize: number): JwtProvider => ({
  name: 'p',
  issuer: ISSUER,
  audiences: ['orders'],
  subject: undefined,
  jwks: { kind: 'inline', text: keys },
  keys: DEFAULT_JWKS_CARE,
  algorithms: ASYMMETRIC_ALGORITHMS,
  skewMs: 60_000,
  requireExpiration: true,
  maxLifetimeMs: undefined,
  from: DEFAULT_LOCATIONS,
  forward: false,
  payloadHeader: undefined,
  claimHeaders: [],
  cacheSize,
});

function made(alg: (typeof ALGORITHMS)[number]): { readonly keys: string; readonly token: string } {
  const key = testKey(alg);
  const exp = Math.floor(clock.wallTime() / 1_000) + 86_400;
  const claims = { iss: ISSUER, sub: 'ada', aud: 'orders', exp, roles: ['reader', 'writer'], org: { name: 'ours' } };
  return { keys: jwks(key), token: signToken(key, claims) };
}

const ours = (alg: (typeof ALGORITHMS)[number], known: boolean): Side => ({
  name: known ? `inmesh, ${alg}, known` : `inmesh, ${alg}, verified each time`,
  open: async () => {
    const { keys, token } = made(alg);
    const authenticators = new Authenticators({ clock, logger, fetch: async () => keys });
    const verifiers = authenticators.verifiers({
      providers: [provider(keys, known ? 1_000 : 0)],
      rules: [],
      bypassPreflight: false,
    });
    const request = { headers: headerFields({ authorization: `Bearer ${token}` }), path: '/' };
    const first = await authenticate(request, REQUIREMENT, verifiers);
    if ('problem' in first) throw new Error(first.detail);
    if (!known) return { once: () => authenticate(request, REQUIREMENT, verifiers) };
    return {
      once() {
        for (let i = 0; i < KNOWN; i++) authenticate(request, REQUIREMENT, verifiers);
      },
    };
  },
});

const alone = (alg: (typeof ALGORITHMS)[number]): Side => ({
  name: `jose alone, ${alg}`,
  open: async () => {
    const { keys, token } = made(alg);
    const set = createLocalJWKSet(JSON.parse(keys) as JSONWebKeySet);
    return { once: () => jwtVerify(token, set, { issuer: ISSUER, audience: 'orders' }) };
  },
});

const verified = await compareCpu({
  question: 'A token, verified anew',
  sides: ALGORITHMS.flatMap((alg) => [alone(alg), ours(alg, false)]),
  concurrency: 8,
  perRun: 2_000,
  runs: 3,
});

const known = await compareCpu({
  question: 'A token that is known',
  sides: ALGORITHMS.map((alg) => ours(alg, true)),
  each: { what: 'request', perOnce: KNOWN },
  concurrency: 1,
  perRun: 1_000,
  runs: 3,
});

if (process.env['INMESH_BENCH_SIDE'] === undefined) report(verified, known);
