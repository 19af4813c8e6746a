import { describe, expect, test } from 'vitest';
import { DEFAULT_JWKS_CARE, type JwtProvider } from '../../../src/core/model/authentication.js';
import { Authenticators } from '../../../src/identity/authn/authenticators.js';
import { MAX_JWKS_BYTES } from '../../../src/identity/authn/key-set.js';
import { FakeClock } from '../../support/fake-clock.js';
import { jwks, signToken, testKey } from '../../support/jwt.js';
import { ISSUER, provider, quiet } from './support.js';

const OLD = testKey('ES256', 'old');
const NEW = testKey('ES256', 'new');

function issuer(changes: Partial<JwtProvider> = {}) {
  const clock = new FakeClock();
  const served = { document: jwks(OLD) as string | Error, fetches: 0 };
  const fetch = async (): Promise<string> => {
    served.fetches++;
    if (served.document instanceof Error) throw served.document;
    return served.document;
  };
  const of = provider('', { jwks: { kind: 'uri', uri: 'https://issuer.test/keys', timeoutMs: 1_000 }, ...changes });
  const authenticators = new Authenticators({ clock, logger: quiet, fetch });
  const verifiers = authenticators.verifiers({ providers: [of], rules: [], bypassPreflight: false });
  const verify = async (key = OLD): Promise<string> => {
    const exp = Math.floor(clock.wallTime() / 1_000) + 10_000;
    const result = await verifiers.get('p')?.verify(signToken(key, { iss: ISSUER, sub: 'ada', exp }));
    if (result === undefined) throw new Error('no verifier');
    return 'problem' in result ? result.problem : 'good';
  };
  return { clock, served, verify, authenticators, of };
}

describe('rotation', () => {
  test('a token of a new key has the keys fetched again, and is good', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    served.document = jwks(OLD, NEW);
    await clock.advance(30_000);
    expect(await verify(NEW)).toBe('good');
    expect(served.fetches).toBe(2);
  });

  test('made-up key ids do not make us fetch more than once in 30 s', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    for (let i = 0; i < 50; i++) expect(await verify(testKeyNamed(`made-up-${i}`))).toBe('unknown_key');
    expect(served.fetches).toBe(1);
    await clock.advance(30_000);
    for (let i = 0; i < 50; i++) expect(await verify(testKeyNamed(`made-up-${i}`))).toBe('unknown_key');
    expect(served.fetches).toBe(2);
  });

  test('many tokens of a new key at once wait for one fetch', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    served.document = jwks(NEW);
    await clock.advance(30_000);
    expect(await Promise.all(Array.from({ length: 20 }, () => verify(NEW)))).toEqual(Array(20).fill('good'));
    expect(served.fetches).toBe(2);
  });

  test('a key that was taken back verifies nothing once the keys have been fetched again, also no token that is known', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    served.document = jwks(NEW);
    await clock.advance(DEFAULT_JWKS_CARE.refreshMs);
    // This one is served with the keys of before, and has them fetched.
    expect(await verify()).toBe('good');
    await clock.advance(1);
    expect(await verify()).toBe('unknown_key');
  });

  test('keys that nobody has used for long are fetched before they are used', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    served.document = jwks(NEW);
    await clock.advance(2 * DEFAULT_JWKS_CARE.refreshMs);
    expect(await verify()).toBe('unknown_key');
  });
});

describe('keys that cannot be had', () => {
  test('no token is good while there never were any, and the issuer is not asked with every request', async () => {
    const { clock, served, verify } = issuer();
    served.document = new Error('unreachable');
    await clock.advance(1);
    expect(await verify()).toBe('keys_unavailable');
    for (let i = 0; i < 20; i++) expect(await verify()).toBe('keys_unavailable');
    expect(served.fetches).toBeLessThanOrEqual(2);
    served.document = jwks(OLD);
    await clock.advance(2_000);
    expect(await verify()).toBe('good');
  });

  test('the last good ones hold for a day, and then no token is good', async () => {
    const { clock, served, verify } = issuer();
    expect(await verify()).toBe('good');
    served.document = new Error('unreachable');
    await clock.advance(DEFAULT_JWKS_CARE.keepMs - 1_000);
    expect(await verify()).toBe('good');
    await clock.advance(1_000);
    expect(await verify()).toBe('keys_unavailable');
  });

  for (const [what, document] of [
    ['no JSON', '<html>'],
    ['an empty list', '{"keys":[]}'],
    ['a key alone', JSON.stringify(OLD.jwk)],
    ['null', 'null'],
    ['keys for encryption only', JSON.stringify({ keys: [{ ...OLD.jwk, use: 'enc' }] })],
    ['far too much', ' '.repeat(MAX_JWKS_BYTES + 1)],
  ] as const)
    test(`an answer that is ${what} takes the place of no good one`, async () => {
      const { clock, served, verify } = issuer();
      expect(await verify()).toBe('good');
      served.document = document;
      await clock.advance(2 * DEFAULT_JWKS_CARE.refreshMs);
      expect(await verify()).toBe('good');
      expect(served.fetches).toBeGreaterThan(1);
    });

  test('keys in a file are read again when they are old', async () => {
    const { mkdtemp, writeFile } = await import('node:fs/promises');
    const path = `${await mkdtemp('/tmp/inmesh-jwks-')}/keys.json`;
    await writeFile(path, jwks(OLD));
    const { clock, verify } = issuer({ jwks: { kind: 'file', path } });
    expect(await verify()).toBe('good');
    await writeFile(path, jwks(NEW));
    await clock.advance(2 * DEFAULT_JWKS_CARE.refreshMs);
    expect(await verify(NEW)).toBe('good');
  });

  test('two services with one issuer fetch its keys once', async () => {
    const { served, verify, authenticators, of } = issuer();
    expect(await verify()).toBe('good');
    const again = authenticators.verifiers({
      providers: [{ ...of, audiences: ['a'] }],
      rules: [],
      bypassPreflight: false,
    });
    expect(again.size).toBe(1);
    expect(served.fetches).toBe(1);
  });
});

function testKeyNamed(kid: string): typeof OLD {
  return { ...NEW, kid };
}
