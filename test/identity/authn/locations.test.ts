import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { otherParams, tokensAt } from '../../../src/identity/authn/locations.js';

const NAMES = ['access_token', 't'];
const AT = { headers: [], params: NAMES, cookies: [] };

describe('a query without some of its parameters', () => {
  test.each([
    ['/', '/'],
    ['/?', '/?'],
    ['/?t=1', '/'],
    ['/?t', '/'],
    ['/?a=1&t=2', '/?a=1'],
    ['/?t=2&a=%20+b', '/?a=%20+b'],
    ['/?a&&t=1&b', '/?a&&b'],
    ['/?%74=1&x=t=1', '/?x=t=1'],
    ['/?t=1#t=1', '/#t=1'],
    ['/t=1?T=1&tt=1', '/t=1?T=1&tt=1'],
    ['http://h/p?t=1&u=2', 'http://h/p?u=2'],
  ])('%s is %s', (path, left) => expect(otherParams(path, NAMES)).toBe(left));

  test('has no token that anybody finds, and of the others each as it came', () => {
    const word = fc.constantFrom(
      't',
      '%74',
      'access_token',
      'access%5ftoken',
      'a',
      '',
      '?',
      '=',
      '&',
      '+',
      '%',
      '%zz',
      '#',
      'é',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        const path = `/p?${words.join('')}`;
        const left = otherParams(path, NAMES);
        expect(tokensAt({ path: left, headers: {} }, AT)).toEqual([]);
        expect(otherParams(left, NAMES)).toBe(left);
        const rest = (text: string): string[][] =>
          [...new URLSearchParams(text.split('#')[0]?.split('?').slice(1).join('?'))].filter(
            ([name]) => !NAMES.includes(name),
          );
        expect(rest(left)).toEqual(rest(path));
      }),
      { seed: 8 },
    );
  });
});
