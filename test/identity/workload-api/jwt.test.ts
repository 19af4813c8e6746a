import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { UNARY_LIMIT_MS } from '../../../src/identity/workload-api/connection.js';
import { type SpiffeWorkload, spiffeWorkload } from '../../../src/spiffe.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  jwkOf,
  jwtBundles,
  jwtSvids,
  signedJwt,
  validated,
  WorkloadApiServer,
} from '../../support/workload-api-server.js';

const WEB = 'spiffe://example.org/ns/default/sa/web';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const others = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

let server: WorkloadApiServer;
let clock: FakeClock;
let spiffe: SpiffeWorkload;
beforeEach(async () => {
  server = await WorkloadApiServer.start();
  clock = new FakeClock();
  spiffe = spiffeWorkload({ endpoint: server.endpoint, clock, random: seededRandom(1) });
});
afterEach(async () => {
  await spiffe.close();
  expect(clock.pending).toBe(0);
  await server.stop();
});

const seconds = (): number => Math.floor(clock.wallTime() / 1_000);
const claims = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  sub: WEB,
  aud: ['reports'],
  exp: seconds() + 60,
  iat: seconds(),
  ...more,
});

describe('JWT-SVIDs', () => {
  test('are fetched for an audience and used until half of their life is over', async () => {
    const asked: unknown[] = [];
    server.mint = (audience, spiffeId) => {
      asked.push([audience, spiffeId]);
      return jwtSvids({ spiffeId: WEB, token: signedJwt(keys, claims({ aud: audience, jti: asked.length })) });
    };
    const first = await spiffe.jwtSvid({ audience: 'reports' });
    expect(first).toMatchObject({ spiffeId: WEB, audience: ['reports'], claims: { jti: 1 } });
    await clock.advance(29_000);
    expect(await spiffe.jwtSvid({ audience: ['reports'] })).toBe(first);
    await clock.advance(2_000);
    const [again, same] = await Promise.all([
      spiffe.jwtSvid({ audience: 'reports' }),
      spiffe.jwtSvid({ audience: 'reports' }),
    ]);
    expect(again.claims).toMatchObject({ jti: 2 });
    expect(same).toBe(again);
    await spiffe.jwtSvid({ audience: 'orders', spiffeId: WEB });
    expect(asked).toEqual([
      [['reports'], ''],
      [['reports'], ''],
      [['orders'], WEB],
    ]);
  });

  test('are used to their end while no newer one is to be had', async () => {
    server.mint = () => jwtSvids({ spiffeId: WEB, token: signedJwt(keys, claims()) });
    const first = await spiffe.jwtSvid({ audience: 'reports' });
    server.mint = () => ({ code: 14, details: 'the agent has lost its server' });
    await clock.advance(45_000);
    expect(await spiffe.jwtSvid({ audience: 'reports' })).toBe(first);
    await clock.advance(20_000);
    await expect(spiffe.jwtSvid({ audience: 'reports' })).rejects.toThrow(/lost its server/);
  });

  test('of several identities the one with the hint is chosen', async () => {
    const of = (name: string, hint: string) => {
      const spiffeId = `spiffe://example.org/${name}`;
      return { spiffeId, token: signedJwt(keys, claims({ sub: spiffeId })), hint };
    };
    server.mint = () => jwtSvids(of('outside', 'external'), of('inside', 'internal'));
    const svid = await spiffe.jwtSvid({ audience: 'reports', hint: 'internal' });
    expect([svid.spiffeId, svid.hint]).toEqual(['spiffe://example.org/inside', 'internal']);
    await expect(spiffe.jwtSvid({ audience: 'reports', hint: 'none' })).rejects.toThrow(/no identity with the hint/);
    await expect(spiffe.jwtSvid({ audience: [] })).rejects.toThrow(/at least one/);
  });

  test('are verified by the bundle of their own trust domain', async () => {
    const set = (...list: unknown[]) => ({ keys: list });
    server.say(
      'FetchJWTBundles',
      jwtBundles({ 'spiffe://example.org': set(jwkOf(keys)), 'spiffe://partner.example': set(jwkOf(others)) }),
    );
    const svid = await spiffe.verifyJwtSvid(signedJwt(keys, claims()), 'reports');
    expect(svid).toMatchObject({ spiffeId: WEB, audience: ['reports'] });
    const refused = async (token: string, why: RegExp): Promise<void> => {
      await expect(spiffe.verifyJwtSvid(token, 'reports')).rejects.toThrow(why);
    };
    await refused(signedJwt(others, claims()), /by no key of the trust domain example.org/);
    await refused(signedJwt(keys, claims({ sub: 'spiffe://partner.example/web' })), /by no key of .* partner.example/);
    await refused(
      signedJwt(keys, claims({ sub: 'spiffe://unknown.example/web' })),
      /no JWT bundle of .* unknown.example/,
    );
  });

  test('are refused without what they must have', async () => {
    server.say('FetchJWTBundles', jwtBundles({ 'spiffe://example.org': { keys: [jwkOf(keys, 'one', 'jwt-svid')] } }));
    const table: readonly (readonly [Record<string, unknown>, RegExp, Record<string, unknown>?])[] = [
      [claims({ exp: undefined }), /no exp/],
      [claims({ exp: seconds() - 60 }), /expired/],
      [claims({ aud: undefined }), /no aud/],
      [claims({ aud: [] }), /no aud/],
      [claims({ aud: ['orders'] }), /aud has none of "reports"/],
      [claims({ sub: undefined }), /sub/],
      [claims({ sub: 'web' }), /sub must begin with spiffe/],
      [claims({ sub: 'spiffe://example.org' }), /sub must name a workload/],
      [claims(), /typ is neither JWT nor JOSE/, { alg: 'ES256', kid: 'one', typ: 'at+jwt' }],
      [claims(), /algorithm/, { alg: 'none' }],
      [claims(), /algorithm HS256 is none/, { alg: 'HS256', kid: 'one' }],
      [claims(), /algorithm EdDSA is none/, { alg: 'EdDSA', kid: 'one' }],
      [claims(), /by no key/, { alg: 'ES256', kid: 'two' }],
    ];
    for (const [body, why, header] of table)
      await expect(spiffe.verifyJwtSvid(signedJwt(keys, body, header), 'reports')).rejects.toThrow(why);
    await expect(spiffe.verifyJwtSvid('a.b', 'reports')).rejects.toThrow(/three parts/);
  });

  test('keys for other purposes verify nothing, and rotated keys at once', async () => {
    const bundle = (...list: unknown[]) => jwtBundles({ 'spiffe://example.org': { keys: list } });
    server.say('FetchJWTBundles', bundle(jwkOf(keys, 'one', 'x509-svid')));
    const token = signedJwt(keys, claims());
    await expect(spiffe.verifyJwtSvid(token, 'reports')).rejects.toThrow(/no JWT bundle/);
    server.say('FetchJWTBundles', bundle(jwkOf(others, 'two'), jwkOf(keys)));
    await expect.poll(() => spiffe.verifyJwtSvid(token, 'reports').then(({ spiffeId }) => spiffeId, String)).toBe(WEB);
  });

  test('the endpoint validates them as well, and gives their claims', async () => {
    const all = {
      sub: WEB,
      aud: ['reports'],
      exp: 2 ** 40,
      nested: { list: [1, 'two', null, { yes: true, no: false }] },
    };
    server.validate = (audience, token) =>
      audience === 'reports' && token === 'good' ? validated(WEB, all) : { code: 3, details: 'invalid audience' };
    expect(await spiffe.validateJwtSvid('good', 'reports')).toEqual({ spiffeId: WEB, claims: all });
    await expect(spiffe.validateJwtSvid('good', 'orders')).rejects.toThrow(/invalid audience/);
  });

  test('an answer that is none is an error', async () => {
    server.mint = () => Buffer.from('no message');
    await expect(spiffe.jwtSvid({ audience: 'reports' })).rejects.toThrow(/malformed/);
    server.mint = () => jwtSvids({ spiffeId: 'spiffe://example.org/other', token: signedJwt(keys, claims()) });
    await expect(spiffe.jwtSvid({ audience: 'reports' })).rejects.toThrow(/not of the identity/);
  });
});

describe('JWT bundles', () => {
  const token = (): string => signedJwt(keys, claims());
  const refuse = (): void => server.say('FetchJWTBundles', { code: 12, details: 'no JWT here' });

  test('that an endpoint does not have are asked for again with the next token', async () => {
    refuse();
    await expect(spiffe.verifyJwtSvid(token(), 'reports')).rejects.toThrow(/no JWT here/);
    await expect(spiffe.verifyJwtSvid(token(), 'reports')).rejects.toThrow(/no JWT here/);
    server.say('FetchJWTBundles', jwtBundles({ 'spiffe://example.org': { keys: [jwkOf(keys)] } }));
    expect(await spiffe.verifyJwtSvid(token(), 'reports')).toMatchObject({ spiffeId: WEB });
  });

  test('that were heard of stand, when the endpoint has them no longer', async () => {
    server.say('FetchJWTBundles', jwtBundles({ 'spiffe://example.org': { keys: [jwkOf(keys)] } }));
    await spiffe.verifyJwtSvid(token(), 'reports');
    refuse();
    expect(await spiffe.verifyJwtSvid(token(), 'reports')).toMatchObject({ spiffeId: WEB });
  });

  test('are not waited for after closing', async () => {
    server.say('FetchJWTBundles', jwtBundles({ 'spiffe://example.org': { keys: [jwkOf(keys)] } }));
    await spiffe.verifyJwtSvid(token(), 'reports');
    await spiffe.close();
    await expect(spiffe.verifyJwtSvid(token(), 'reports')).rejects.toThrow(/closed/);
  });

  test('of an endpoint that says nothing are not waited for longer than for any other answer', async () => {
    const verdict = spiffe.verifyJwtSvid(token(), 'reports').catch(({ message }: Error) => message);
    await clock.advance(UNARY_LIMIT_MS);
    expect(await verdict).toMatch(/no JWT bundles: no answer within 10000 ms/);
    expect(clock.pending).toBe(0);
  });
});

test('without an endpoint the error names the variable', () => {
  expect(() => spiffeWorkload({ endpoint: '' })).toThrow(/SPIFFE_ENDPOINT_SOCKET/);
});
