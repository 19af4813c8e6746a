import { describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import type { CorsPolicy } from '../../src/core/model/route.js';
import { type Random, seededRandom } from '../../src/core/random.js';
import { safeRegex } from '../../src/core/regex/safe-regex.js';
import { compileCors } from '../../src/routing/cors.js';

const POLICY: CorsPolicy = {
  allowOrigin: [
    { kind: 'exact', value: 'https://shop.example', ignoreCase: false },
    { kind: 'regex', regex: safeRegex('https://[a-z]+\\.dev\\.example') },
  ],
  allowMethods: 'GET, PUT',
  allowHeaders: 'x-a, content-type',
  exposeHeaders: 'x-total',
  maxAge: '600',
  allowCredentials: true,
  allowPrivateNetwork: false,
  forwardNotMatchingPreflights: true,
  enabled: 1,
  shadow: 0,
};

const decide = (
  policy: Partial<CorsPolicy>,
  method: string,
  headers: Record<string, string>,
  random: Random = seededRandom(1),
) => {
  const decision = compileCors({ ...POLICY, ...policy }, random)?.({ method, headers: headerFields(headers) });
  return decision && { kind: decision.kind, ...decision.headers };
};
const preflight = (policy: Partial<CorsPolicy>, more: Record<string, string> = {}) =>
  decide(policy, 'OPTIONS', { origin: 'https://shop.example', 'access-control-request-method': 'PUT', ...more });

describe('a preflight', () => {
  const allowed = {
    kind: 'preflight',
    'access-control-allow-origin': 'https://shop.example',
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'GET, PUT',
    'access-control-allow-headers': 'x-a, content-type',
    'access-control-max-age': '600',
    'access-control-expose-headers': 'x-total',
  };

  test('of an origin that is allowed is answered with what it may do', () => {
    expect(preflight({})).toEqual(allowed);
    expect(preflight({}, { origin: 'https://web.dev.example' })).toEqual({
      ...allowed,
      'access-control-allow-origin': 'https://web.dev.example',
    });
  });

  test('is told only what is configured', () => {
    const bare = { allowMethods: '', allowHeaders: '', exposeHeaders: '', maxAge: '', allowCredentials: false };
    expect(preflight(bare)).toEqual({ kind: 'preflight', 'access-control-allow-origin': 'https://shop.example' });
  });

  test('hears back what it asked for where all is allowed, since credentials know no wildcard', () => {
    const answer = preflight(
      { allowMethods: '*', allowHeaders: '*' },
      { 'access-control-request-headers': 'x-b, x-c' },
    );
    expect(answer).toMatchObject({ 'access-control-allow-methods': 'PUT', 'access-control-allow-headers': 'x-b, x-c' });
    expect(preflight({ allowHeaders: '*' })).not.toHaveProperty('access-control-allow-headers');
  });

  test('of another origin is sent on, or answered without leave when it is not to be sent on', () => {
    const other = { origin: 'https://evil.example' };
    expect(preflight({}, other)).toBeUndefined();
    expect(preflight({ forwardNotMatchingPreflights: false }, other)).not.toHaveProperty('access-control-allow-origin');
    expect(preflight({ forwardNotMatchingPreflights: false }, other)?.kind).toBe('preflight');
  });

  test('to a private network needs leave of its own', () => {
    const asks = { 'access-control-request-private-network': 'true' };
    expect(preflight({}, asks)).not.toHaveProperty('access-control-allow-private-network');
    expect(preflight({ allowPrivateNetwork: true }, asks)).toMatchObject({
      'access-control-allow-private-network': 'true',
    });
    expect(preflight({ allowPrivateNetwork: true })).not.toHaveProperty('access-control-allow-private-network');
  });

  test('is one with OPTIONS, an origin and a method that is to follow, and not else', () => {
    expect(decide({}, 'OPTIONS', { origin: 'https://shop.example' })?.kind).toBe('reply');
    expect(decide({}, 'OPTIONS', { 'access-control-request-method': 'PUT' })).toBeUndefined();
    expect(decide({}, 'PUT', { origin: 'https://shop.example', 'access-control-request-method': 'PUT' })?.kind).toBe(
      'reply',
    );
  });
});

describe('a request from a browser', () => {
  test('of an origin that is allowed has a reply that says so', () => {
    expect(decide({}, 'GET', { origin: 'https://shop.example' })).toEqual({
      kind: 'reply',
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-total',
    });
  });

  test('of another origin, or of none, is as any other', () => {
    expect(decide({}, 'GET', { origin: 'https://evil.example' })).toBeUndefined();
    expect(decide({}, 'GET', { origin: 'https://sub.web.dev.example' })).toBeUndefined();
    expect(decide({}, 'GET', {})).toBeUndefined();
  });

  test('of any origin is allowed by "*"', () => {
    const any: Partial<CorsPolicy> = { allowOrigin: [{ kind: 'exact', value: '*', ignoreCase: false }] };
    expect(decide(any, 'GET', { origin: 'null' })).toMatchObject({ 'access-control-allow-origin': 'null' });
  });
});

describe('a policy', () => {
  test('that is off, or in shadow only, is not there', () => {
    expect(compileCors({ ...POLICY, enabled: 0, shadow: 1 }, seededRandom(1))).toBeUndefined();
  });

  test('for a share of the requests leaves the others alone', () => {
    const random = seededRandom(3);
    const decided = Array.from({ length: 1_000 }, () =>
      decide({ enabled: 0.3 }, 'GET', { origin: 'https://shop.example' }, random),
    );
    // Binomial(1 000, 0.3): five standard deviations are 73.
    expect(Math.abs(decided.filter((decision) => decision !== undefined).length - 300)).toBeLessThan(73);
  });
});
