import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import { DEFAULT_LOCATIONS } from '../../../src/core/model/authentication.js';
import { KeySet } from '../../../src/identity/authn/key-set.js';
import { tokensAt } from '../../../src/identity/authn/locations.js';
import { parseToken } from '../../../src/identity/authn/token.js';
import { base64url, jwks, testKey } from '../../support/jwt.js';

const KEY = testKey('ES256');

describe('whatever comes', () => {
  test('a token is parsed or refused, and never throws', () => {
    const part = fc.oneof(fc.string(), fc.json().map(base64url), fc.base64String());
    const made = fc.tuple(part, part, part).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.oneof(made, fc.string({ unit: 'binary' })), (text) => {
        const result = parseToken(text);
        expect('problem' in result || typeof result.algorithm === 'string').toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('a JWKS is read, or is an Error that says why', () => {
    const keys = fc.array(
      fc.oneof(
        fc.jsonValue(),
        fc.constant(KEY.jwk),
        fc.record({
          kty: fc.constantFrom('RSA', 'EC', 'OKP', 'oct', '__proto__'),
          crv: fc.jsonValue(),
          alg: fc.jsonValue(),
          key_ops: fc.jsonValue(),
        }),
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          keys.map((it) => JSON.stringify({ keys: it })),
        ),
        (text) => {
          try {
            KeySet.parse(text).candidates('RS256', undefined);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            expect(error).not.toBeInstanceOf(TypeError);
          }
        },
      ),
      { numRuns: 1_000 },
    );
    expect(KeySet.parse(jwks(KEY)).candidates('ES256', 'k1')).toHaveLength(1);
  });

  test('tokens are found in any headers, paths and cookies', () => {
    const at = { ...DEFAULT_LOCATIONS, cookies: ['t'] };
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), fc.string(), (authorization, cookie, path) => {
        const found = tokensAt({ headers: headerFields({ authorization, cookie }), path }, at);
        expect(found.every((token) => token !== '')).toBe(true);
      }),
    );
  });

  test('a token stands in the header, the query or a cookie, and each is found once', () => {
    const at = {
      headers: [
        { name: 'authorization', prefix: 'Bearer ' },
        { name: 'x-token', prefix: '' },
      ],
      params: ['access_token'],
      cookies: ['sid'],
    };
    const headers = headerFields({
      authorization: ['BEARER  a.b.c', 'Basic dTpw'],
      'x-token': 'd',
      cookie: 'x=1; sid="e"',
    });
    expect(tokensAt({ headers, path: '/p?x=1&access_token=f&access_token=a.b.c#access_token=g' }, at)).toEqual([
      'a.b.c',
      'd',
      'f',
      'e',
    ]);
  });
});
