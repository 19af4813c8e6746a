import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expiryOf } from '../../../src/xds/client/credentials/jwt.js';
import { jwt } from './support.js';

const payload = (text: string): string => `e30.${Buffer.from(text).toString('base64url')}.`;

describe('the expiry of a JWT', () => {
  test('is read in milliseconds, with a fraction where there is one', () => {
    expect(expiryOf(jwt({ iss: 'x', exp: 1_700_000_000 }))).toBe(1_700_000_000_000);
    expect(expiryOf(jwt({ exp: 1.5 }))).toBe(1_500);
    expect(expiryOf(payload('{"exp":0}'))).toBe(0);
  });

  test.each([
    ['nothing', ''],
    ['one part', 'abc'],
    ['two parts', 'e30.e30'],
    ['four parts', 'e30.e30.e30.e30'],
    ['no base64url', 'e30.e+0.e30'],
    ['a line break', `${jwt({ exp: 1 })}\nx: y`],
    ['a payload that is no JSON', payload('{')],
    ['a payload that is no object', payload('null')],
    ['a list', payload('[1]')],
    ['no exp', jwt({ iat: 1 })],
    ['an exp that is text', jwt({ exp: '1700000000' })],
    ['an exp without end', payload('{"exp":1e999}')],
    ['an exp of null', jwt({ exp: null })],
  ])('is not to be had from %s', (_name, token) => {
    expect(expiryOf(token)).toBeUndefined();
  });

  test('is found or not, and never thrown about, whatever the text', () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
        expect(['number', 'undefined']).toContain(typeof expiryOf(parts.join('.')));
      }),
    );
  });
});
