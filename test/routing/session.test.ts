import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import type { SessionPersistence } from '../../src/core/model/route.js';
import { cookieValue } from '../../src/routing/cookies.js';
import { type Home, sessionApplies, sessionHome, setSession } from '../../src/routing/session.js';

const cookie: SessionPersistence = { kind: 'cookie', name: 'home', path: '/shop', ttlMs: 120_000 };
const header: SessionPersistence = { kind: 'header', name: 'x-home' };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const brought = (text: string): Home | undefined =>
  sessionHome(cookie, headerFields({ cookie: `a=b; home="${base64(text)}"` }));

describe('a session', () => {
  test.each([
    ['/shop', true],
    ['/shop?x', true],
    ['/shop/cart', true],
    ['/shopping', false],
    ['/', false],
  ])('by a cookie of /shop, for %s: %s (RFC 6265 section 5.1.4)', (path, applies) => {
    expect(sessionApplies(cookie, path)).toBe(applies);
    expect(sessionApplies({ ...cookie, path: '/' }, path)).toBe(true);
    expect(sessionApplies({ ...cookie, path: '' }, path)).toBe(true);
    expect(sessionApplies(header, path)).toBe(true);
  });

  test('reads the address and the cluster that gRPC writes (A55, A60)', () => {
    expect(brought('206.12.3.6:8080;cluster:cloud-internal:mp_1')).toEqual({
      endpoint: '206.12.3.6:8080',
      cluster: 'cloud-internal:mp_1',
    });
    expect(brought('206.12.3.6:8080;"c"')).toEqual({ endpoint: '206.12.3.6:8080', cluster: 'c' });
  });

  test('reads what Envoy writes: the address alone, or its message', () => {
    expect(brought('[::1]:80')).toEqual({ endpoint: '[::1]:80', cluster: undefined });
    expect(brought('\n\x0b1.2.3.4:800\x10\x05')).toEqual({ endpoint: '1.2.3.4:800', cluster: undefined });
  });

  test.each(['', 'x', '1.2.3.4', 'a b:80', '\n\x7f1.2', '1.2.3.4:80\r\n:1'])('is none that says "%s"', (text) => {
    expect(brought(text)).toBeUndefined();
  });

  test('is none whatever a caller makes up', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (value) => {
        const home = sessionHome(header, headerFields({ 'x-home': value }));
        expect(home === undefined || /^\S+:\d{1,5}$/.test(home.endpoint)).toBe(true);
      }),
    );
  });

  test('is told to the caller as gRPC and Envoy do, and read back', () => {
    const home = { endpoint: '10.0.0.1:80', cluster: 'c' };
    const reply = headerFields({ 'set-cookie': 'a=b' });
    setSession(cookie, reply, home, true);
    const value = base64('10.0.0.1:80;cluster:c');
    expect(reply['set-cookie']).toEqual(['a=b', `home="${value}"; Max-Age=120; Path=/shop; HttpOnly`]);
    expect(sessionHome(cookie, headerFields({ cookie: `home="${value}"` }))).toEqual(home);
  });

  test('in a cookie has the address alone, as Envoy has it, unless there are several clusters', () => {
    const reply = headerFields();
    setSession(cookie, reply, { endpoint: '10.0.0.1:80', cluster: 'c' }, false);
    expect(reply['set-cookie']).toContain(`home="${base64('10.0.0.1:80')}"`);
  });

  test('in a header has the address alone, as Envoy has it, unless there are several clusters', () => {
    const home = { endpoint: '10.0.0.1:80', cluster: 'c' };
    const reply = headerFields();
    setSession(header, reply, home, false);
    expect(reply['x-home']).toBe(base64('10.0.0.1:80'));
    setSession(header, reply, home, true);
    expect(sessionHome(header, reply)).toEqual(home);
  });
});

describe('a cookie', () => {
  test.each([
    ['a=1', 'a', '1'],
    ['b=2; a=1', 'a', '1'],
    ['b=2;a="1"', 'a', '1'],
    ['aa=2', 'a', undefined],
    ['a', 'a', undefined],
    ['b; a=x=y', 'a', 'x=y'],
    ['a=', 'a', ''],
    ['a=1; a=2', 'a', '1'],
  ])('in "%s" called %s is %s', (field, name, value) => {
    expect(cookieValue(headerFields({ cookie: field }), name)).toBe(value);
  });
});
