import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { JwtProvider } from '../../../src/core/model/authentication.js';
import { headerFields } from '../../../src/core/headers.js';
import { authenticate } from '../../../src/identity/authn/authenticator.js';
import { Authenticators } from '../../../src/identity/authn/authenticators.js';
import { changesFor } from '../../../src/identity/authn/claim-headers.js';
import { FakeClock } from '../../support/fake-clock.js';
import { base64url, hmacToken, jwks, signToken, testKey } from '../../support/jwt.js';
import { ISSUER, provider, quiet } from './support.js';

const RSA = testKey('RS256', 'rsa');
const EC = testKey('ES256', 'ec');
const ED = testKey('EdDSA', 'ed');
const OTHER = testKey('RS256', 'rsa');

const clock = new FakeClock();
const now = (): number => Math.floor(clock.wallTime() / 1_000);
const claims = (changes: object = {}): object => ({ iss: ISSUER, sub: 'ada', exp: now() + 300, ...changes });

const KEYS = jwks(RSA, EC, ED);

async function outcome(token: string, changes: Partial<JwtProvider> = {}, keys = KEYS): Promise<string> {
  const of = provider(keys, changes);
  const authenticators = new Authenticators({ clock, logger: quiet, fetch: () => Promise.reject(new Error('no')) });
  const verifiers = authenticators.verifiers({ providers: [of], rules: [], bypassPreflight: false });
  const request = { headers: headerFields({ authorization: `Bearer ${token}` }), path: '/' };
  const result = await authenticate(request, { kind: 'provider', provider: 'p' }, verifiers);
  return 'problem' in result ? result.problem : `good: ${String(result[0]?.claims.sub)}`;
}

describe('signatures', () => {
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'])
    test(`a token that is signed with ${alg} is good`, async () => {
      const key = testKey(alg, 'k');
      expect(await outcome(signToken(key, claims()), {}, jwks(key))).toBe('good: ada');
    });

  test('a signature of another key under the same id is not', async () => {
    expect(await outcome(signToken(OTHER, claims()))).toBe('signature');
  });

  test('a payload that was changed after it was signed is not good', async () => {
    const [head, , signature] = signToken(RSA, claims()).split('.');
    expect(await outcome(`${head}.${base64url(claims({ sub: 'root' }))}.${signature}`)).toBe('signature');
  });

  test('keys without an id, and tokens that name none, are tried one after the other', async () => {
    const anonymous = { ...testKey('RS256', undefined) };
    expect(await outcome(signToken(anonymous, claims()), {}, jwks(RSA, EC, anonymous))).toBe('good: ada');
  });

  test('a key that is for encryption verifies nothing', async () => {
    const keys = JSON.stringify({ keys: [{ ...RSA.jwk, use: 'enc' }, EC.jwk] });
    expect(await outcome(signToken(RSA, claims()), {}, keys)).toBe('unknown_key');
  });

  test('a key that says its algorithm is for no other', async () => {
    const keys = JSON.stringify({ keys: [{ ...RSA.jwk, alg: 'PS256' }] });
    expect(await outcome(signToken(RSA, claims()), {}, keys)).toBe('unknown_key');
  });
});

describe('alg tricks', () => {
  const none = (alg: unknown, signature = ''): string =>
    `${base64url({ alg, kid: 'rsa' })}.${base64url(claims())}.${signature}`;

  for (const alg of [
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    null,
    0,
    ['RS256'],
    'RS256 ',
    'HS1',
    'dir',
    'RSA1_5',
    'ES256K',
  ])
    test(`"alg": ${JSON.stringify(alg)} is refused, with and without a signature`, async () => {
      expect(await outcome(none(alg))).toBe('malformed');
      expect(await outcome(none(alg, 'AAAA'))).toBe('algorithm');
    });

  const pem = createPublicKey({ key: RSA.jwk as never, format: 'jwk' })
    .export({ type: 'spki', format: 'pem' })
    .toString();
  for (const [what, secret] of [
    ['the public key as PEM', pem],
    ['the same without its last line break', pem.trim()],
    ['the modulus', Buffer.from(String(RSA.jwk.n), 'base64url')],
    ['the JWK as JSON', JSON.stringify(RSA.jwk)],
    ['nothing', ''],
  ] as const)
    test(`an HMAC with ${what} for its secret is refused, also where HS256 is allowed`, async () => {
      const token = hmacToken(secret, claims(), { kid: 'rsa' });
      expect(await outcome(token)).toBe('algorithm');
      expect(await outcome(token, { algorithms: ['RS256', 'HS256'] })).toBe('unknown_key');
    });

  test('HS256 works where it is asked for by name, with a key that is a secret', async () => {
    const secret = Buffer.alloc(32, 7);
    const keys = JSON.stringify({ keys: [{ kty: 'oct', k: secret.toString('base64url'), kid: 's' }] });
    const token = hmacToken(secret, claims(), { kid: 's' });
    expect(await outcome(token, { algorithms: ['HS256'] }, keys)).toBe('good: ada');
    expect(await outcome(token, {}, keys)).toBe('algorithm');
    expect(await outcome(hmacToken('another', claims(), { kid: 's' }), { algorithms: ['HS256'] }, keys)).toBe(
      'signature',
    );
  });

  test('an algorithm of the same key that is not allowed is refused', async () => {
    expect(await outcome(signToken(RSA, claims()), { algorithms: ['ES256'] })).toBe('algorithm');
  });

  test('a key that the token brings along, or points at, is not looked at', async () => {
    const forged = testKey('RS256', 'mine');
    for (const header of [
      { jwk: forged.jwk },
      { jku: 'https://evil.test/keys' },
      { x5u: 'https://evil.test' },
      { x5c: ['AAAA'] },
    ]) {
      expect(await outcome(signToken(forged, claims(), header))).toBe('unknown_key');
      expect(await outcome(signToken(forged, claims(), { ...header, kid: 'rsa' }))).toBe('signature');
    }
  });

  for (const kid of ['../../dev/null', "' OR 1=1 --", '__proto__', 'constructor', '\u0000', 'x'.repeat(1_024)])
    test(`kid ${JSON.stringify(kid.slice(0, 20))} is a name like any other`, async () => {
      expect(await outcome(signToken(OTHER, claims(), { kid }))).toBe('unknown_key');
    });

  test('a kid that is no string, or very long, is malformed', async () => {
    for (const kid of [1, null, {}, ['rsa'], 'x'.repeat(1_025)])
      expect(await outcome(signToken(RSA, claims(), { kid }))).toBe('malformed');
  });

  test('extensions that the header asks for are refused: crit, b64', async () => {
    expect(await outcome(signToken(RSA, claims(), { crit: ['b64'], b64: false }))).toBe('critical');
    expect(await outcome(signToken(RSA, claims(), { crit: [] }))).toBe('critical');
    expect(await outcome(signToken(RSA, claims(), { b64: false }))).toBe('critical');
  });
});

describe('claims', () => {
  test('exp, nbf and iat allow for clocks that are 60 s apart, and no more', async () => {
    const at = now();
    expect(await outcome(signToken(RSA, claims({ exp: at - 59 })))).toBe('good: ada');
    expect(await outcome(signToken(RSA, claims({ exp: at - 60 })))).toBe('expired');
    expect(await outcome(signToken(RSA, claims({ nbf: at + 60 })))).toBe('good: ada');
    expect(await outcome(signToken(RSA, claims({ nbf: at + 61 })))).toBe('not_yet_valid');
    expect(await outcome(signToken(RSA, claims({ iat: at + 60 })))).toBe('good: ada');
    expect(await outcome(signToken(RSA, claims({ iat: at + 61 })))).toBe('not_yet_valid');
  });

  test('times that are no numbers are malformed, not ignored', async () => {
    for (const bad of ['9999999999', null, {}, [], true])
      for (const name of ['exp', 'nbf', 'iat'])
        expect(await outcome(signToken(RSA, claims({ [name]: bad })))).toBe('malformed');
    const [head, ,] = signToken(RSA, claims()).split('.');
    expect(await outcome(`${head}.${base64url('{"iss":"https://issuer.test","exp":1e999}')}.AAAA`)).toBe('malformed');
  });

  test('a token without exp is good where that is allowed', async () => {
    const token = signToken(RSA, { iss: ISSUER, sub: 'ada' });
    expect(await outcome(token)).toBe('lifetime');
    expect(await outcome(token, { requireExpiration: false })).toBe('good: ada');
    expect(await outcome(token, { requireExpiration: false, maxLifetimeMs: 3_600_000 })).toBe('lifetime');
  });

  test('a token that is good for longer than it may be is refused', async () => {
    const changes = { maxLifetimeMs: 3_600_000 };
    expect(await outcome(signToken(RSA, claims({ exp: now() + 3_600 })), changes)).toBe('good: ada');
    expect(await outcome(signToken(RSA, claims({ exp: now() + 86_400 })), changes)).toBe('lifetime');
  });

  test('iss must be the issuer, to the letter', async () => {
    for (const iss of [`${ISSUER}/`, ISSUER.toUpperCase(), [ISSUER], undefined, null, 1])
      expect(await outcome(signToken(RSA, claims({ iss })))).toBe('issuer');
  });

  test('aud must have one of the audiences, as a name or in a list', async () => {
    const changes = { audiences: ['orders', 'carts'] };
    expect(await outcome(signToken(RSA, claims({ aud: 'carts' })), changes)).toBe('good: ada');
    expect(await outcome(signToken(RSA, claims({ aud: ['x', 'orders'] })), changes)).toBe('good: ada');
    for (const aud of [undefined, 'cart', 'orders carts', ['x'], [], { orders: true }, [['orders']], null])
      expect(await outcome(signToken(RSA, claims({ aud })), changes)).toBe('audience');
  });

  test('sub must be one that the provider may speak for', async () => {
    const changes = { subject: { kind: 'prefix', value: 'team-', ignoreCase: false } } as const;
    expect(await outcome(signToken(RSA, claims({ sub: 'team-7' })), changes)).toBe('good: team-7');
    expect(await outcome(signToken(RSA, claims({ sub: 'adam' })), changes)).toBe('subject');
    expect(await outcome(signToken(RSA, claims({ sub: undefined })), changes)).toBe('subject');
  });

  test('claims are as they were signed, and nobody can change them', async () => {
    const of = provider(KEYS);
    const verifiers = new Authenticators({ clock, logger: quiet, fetch: async () => '' }).verifiers({
      providers: [of],
      rules: [],
      bypassPreflight: false,
    });
    const result = await verifiers.get('p')?.verify(signToken(RSA, claims({ roles: ['admin'], __proto__: null })));
    if (result === undefined || 'problem' in result) throw new Error('not good');
    expect(() => (result.claims.roles as string[]).push('root')).toThrow(TypeError);
    expect(Object.isFrozen(result.claims)).toBe(true);
  });
});

describe('tokens known', () => {
  const known = (changes: Partial<JwtProvider> = {}) => {
    const time = new FakeClock();
    const authenticators = new Authenticators({ clock: time, logger: quiet, fetch: async () => '' });
    const of = provider(KEYS, changes);
    const verifier = authenticators.verifiers({ providers: [of], rules: [], bypassPreflight: false }).get('p');
    if (verifier === undefined) throw new Error('no verifier');
    const exp = Math.floor(time.wallTime() / 1_000) + 300;
    return { time, verifier, token: signToken(RSA, { iss: ISSUER, sub: 'ada', exp }) };
  };

  test('a token that was verified is known at once, until it expires', async () => {
    const { time, verifier, token } = known({ keys: { refreshMs: 1e9, keepMs: 1e9 } });
    expect(verifier.verify(token)).toBeInstanceOf(Promise);
    const first = await verifier.verify(token);
    expect(verifier.verify(token)).toBe(first);
    await time.advance(359_000);
    expect(verifier.verify(token)).toBe(first);
    await time.advance(1_000);
    expect(verifier.verify(token)).toMatchObject({ problem: 'expired' });
  });

  test('a token that differs in one letter of its signature is another one', async () => {
    const { verifier, token } = known();
    await verifier.verify(token);
    const changed = `${token.slice(0, -10)}${token.at(-10) === 'A' ? 'B' : 'A'}${token.slice(-9)}`;
    expect(await verifier.verify(changed)).toMatchObject({ problem: 'signature' });
  });

  test('no more are remembered than cacheSize', async () => {
    const { verifier, token } = known({ cacheSize: 1 });
    await verifier.verify(token);
    expect(verifier.verify(token)).not.toBeInstanceOf(Promise);
    await verifier.verify(signToken(EC, claims()));
    expect(verifier.verify(token)).toBeInstanceOf(Promise);
  });

  test('a token that is asked for other audiences is not good for them because it is known', async () => {
    const { verifier, token } = known();
    await verifier.verify(token);
    expect(verifier.verify(token, ['orders'])).toMatchObject({ problem: 'audience' });
  });
});

describe('headers', () => {
  const result = async (sent: Record<string, string>, changes: Partial<JwtProvider>, sub: unknown = 'ada') => {
    const of = provider(KEYS, changes);
    const verifiers = new Authenticators({ clock, logger: quiet, fetch: async () => '' }).verifiers({
      providers: [of],
      rules: [],
      bypassPreflight: false,
    });
    const token = signToken(RSA, claims({ sub, org: { name: 'ours', ids: [1, 2] }, admin: true }));
    const headers = headerFields(
      'cookie' in sent
        ? { cookie: sent.cookie.replace('TOKEN', token) }
        : { authorization: `bearer ${token}`, ...sent },
    );
    const found = await authenticate({ headers, path: '/' }, { kind: 'provider', provider: 'p' }, verifiers);
    if ('problem' in found) throw new Error(found.detail);
    return { ...changesFor([of], found, headers) };
  };

  test('claims are handed on, and what the client has put there is not', async () => {
    const claimHeaders = [
      { header: 'x-sub', claim: 'sub' },
      { header: 'x-org', claim: 'org.name' },
      { header: 'x-ids', claim: 'org.ids' },
      { header: 'x-admin', claim: 'admin' },
      { header: 'x-none', claim: 'constructor' },
    ];
    expect(await result({ 'x-sub': 'root', 'x-none': 'spoofed' }, { claimHeaders })).toEqual({
      'x-sub': 'ada',
      'x-org': 'ours',
      'x-ids': Buffer.from('[1,2]').toString('base64url'),
      'x-admin': 'true',
      'x-none': [],
    });
  });

  test('a claim that no header can hold is left out', async () => {
    const claimHeaders = [{ header: 'x-sub', claim: 'sub' }];
    expect(await result({}, { claimHeaders }, 'a\r\nx-admin: 1')).toEqual({ 'x-sub': [] });
    expect(await result({}, { claimHeaders }, '名')).toEqual({ 'x-sub': [] });
  });

  test('a token that is not forwarded is taken away, and its payload handed on where it should be', async () => {
    expect(await result({}, { forward: false, payloadHeader: 'x-payload' })).toEqual({
      authorization: [],
      'x-payload': expect.stringMatching(/^[\w-]+$/),
    });
  });

  test('a cookie with a token that is not forwarded is taken away, and others are not', async () => {
    const from = { headers: [], params: [], cookies: ['t'] };
    const forward = false;
    expect(await result({ cookie: 't=TOKEN' }, { from, forward })).toEqual({ cookie: [] });
    expect(await result({ cookie: 'a=1; t=TOKEN;b="2"; tt=3' }, { from, forward })).toEqual({
      cookie: 'a=1; b="2"; tt=3',
    });
    expect(await result({ cookie: 'a=1; t=TOKEN' }, { from, forward: true })).toEqual({});
  });
});
