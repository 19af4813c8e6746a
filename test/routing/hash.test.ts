import { beforeAll, describe, expect, test } from 'vitest';
import { loadHash64 } from '../../src/client/balancer/hash.js';
import { headerFields } from '../../src/core/headers.js';
import type { CallInit } from '../../src/core/call.js';
import type { HashPolicy } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import { safeSubstitution } from '../../src/core/regex/safe-regex.js';
import { compileHash, type Hash64, type Hashed } from '../../src/routing/hash/hash.js';
import { aCall } from '../support/calls.js';

let hash64: Hash64;
beforeAll(async () => {
  hash64 = await loadHash64();
});

const hashed = (policies: readonly HashPolicy[], init: Partial<CallInit> = {}): Hashed =>
  compileHash(policies)(aCall(init), { hash64, random: seededRandom(1), channelId: 7n });
const header = (name: string, terminal = false, rewrite?: [string, string]): HashPolicy => ({
  kind: 'header',
  name,
  terminal,
  rewrite: rewrite && { regex: safeSubstitution(...rewrite), substitution: rewrite[1] },
});
const cookie = (ttlMs?: number): HashPolicy => ({
  kind: 'cookie',
  name: 'who',
  path: '/shop',
  ttlMs,
  attributes: [{ name: 'SameSite', value: 'Lax' }],
  terminal: false,
});
const fields = (more: Record<string, string | string[]>) => ({ headers: headerFields(more) });

describe('the hash of a call', () => {
  test('of a header is that of its value; without the header there is none', () => {
    expect(hashed([header('x-user')], fields({ 'x-user': 'ann' })).hash).toBe(hash64('ann'));
    expect(hashed([header('x-user')]).hash).toBeUndefined();
  });

  test('of a header is that of its value rewritten', () => {
    const policy = header('x-user', false, ['^([^@]+)@.*', '\\1']);
    expect(hashed([policy], fields({ 'x-user': 'ann@a.example' })).hash).toBe(hash64('ann'));
  });

  test('of several values does not depend on their order (Envoy); gRPC joins them', () => {
    const of = (protocol: 'http' | 'grpc', ...values: string[]) =>
      hashed([header('x')], { protocol, ...fields({ x: values }) }).hash;
    expect(of('http', 'b', 'a')).toBe(of('http', 'a', 'b'));
    expect(of('http', 'a', 'b')).toBe(hash64('b', hash64('a')));
    expect(of('grpc', 'b', 'a')).toBe(hash64('b,a'));
  });

  test('ignores binary metadata of gRPC (gRFC A42)', () => {
    expect(hashed([header('x-bin')], { protocol: 'grpc', ...fields({ 'x-bin': 'AA' }) }).hash).toBeUndefined();
  });

  test('of a path, of a query parameter, of the caller', () => {
    expect(hashed([header(':path')], { path: '/a?b' }).hash).toBe(hash64('/a?b'));
    expect(hashed([{ kind: 'query', name: 'u', terminal: false }], { path: '/?u=1&u=2' }).hash).toBe(hash64('1'));
    expect(hashed([{ kind: 'query', name: 'u', terminal: false }], { path: '/' }).hash).toBeUndefined();
    const downstream = { remote: '[fe80::1]:1', local: undefined, protocol: 'HTTP/1.1' as const };
    expect(hashed([{ kind: 'source', terminal: false }], { downstream }).hash).toBe(hash64('fe80::1'));
    expect(hashed([{ kind: 'source', terminal: false }]).hash).toBe(7n);
  });

  test('of io.grpc.channel_id is one number for all calls; other filter state is not known', () => {
    const state = (key: string): HashPolicy => ({ kind: 'filter_state', key, terminal: false });
    expect(hashed([state('io.grpc.channel_id')]).hash).toBe(7n);
    expect(hashed([state('other')]).hash).toBeUndefined();
  });

  test('of a cookie is that of its value, quoted or not', () => {
    expect(hashed([cookie()], fields({ cookie: 'a=b; who="me"' })).hash).toBe(hash64('me'));
    expect(hashed([cookie()], fields({ cookie: ['a=b', 'who=me'] })).hash).toBe(hash64('me'));
    expect(hashed([cookie()], fields({ cookie: 'whom=me' })).hash).toBeUndefined();
  });

  test('makes a cookie when there is none and it has a lifetime', () => {
    const { hash, cookies } = hashed([cookie(60_000)]);
    expect(cookies).toEqual([
      {
        name: 'who',
        value: expect.stringMatching(/^[0-9a-f]{16}$/),
        path: '/shop',
        ttlMs: 60_000,
        attributes: [{ name: 'SameSite', value: 'Lax' }],
      },
    ]);
    expect(hash).toBe(hash64(cookies?.[0]?.value as string));
    expect(hashed([cookie(0)]).cookies).toHaveLength(1);
    expect(hashed([cookie(60_000)], fields({ cookie: 'who=me' })).cookies).toBeUndefined();
  });

  test('mixes policies: the sum so far is rotated by one bit, then XORed', () => {
    const both = hashed([header('a'), header('b')], fields({ a: '1', b: '2' })).hash;
    const a = hash64('1');
    expect(both).toBe((((a << 1n) | (a >> 63n)) & 0xffff_ffff_ffff_ffffn) ^ hash64('2'));
    expect(hashed([header('a'), header('a')], fields({ a: '1' })).hash).not.toBe(0n);
  });

  test('ends with a terminal policy once there is a hash', () => {
    expect(hashed([header('a', true), header('b')], fields({ a: '1', b: '2' })).hash).toBe(hash64('1'));
    expect(hashed([header('a', true), header('b')], fields({ b: '2' })).hash).toBe(hash64('2'));
    const three = [header('a'), header('none', true), header('b')];
    expect(hashed(three, fields({ a: '1', b: '2' })).hash).toBe(hash64('1'));
  });
});
