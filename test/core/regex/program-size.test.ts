import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { estimatedProgramSize } from '../../../src/core/regex/program-size.js';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';

describe('the size that an expression looks like', () => {
  test.each<[string, number]>([
    ['abc', 3],
    ['a|b|c', 1],
    ['ab|c|de', 5],
    ['[^]a-z[:alpha:]\\]]x', 2],
    ['\\pL\\p{Greek}\\x{10FFFF}\\.\\bz', 6],
    ['\\Qa{9}\\E{3}', 6],
    ['(?i:ab){10}', 20],
    ['(?P<name>a{2,}b{,3}){5}', 5 * (2 + 2 + 1 + 4)],
    ['((a{10}){10}|b){10}', 1_230],
    ['a{1000}'.repeat(585), 585_000],
    ['(z)|(z)|[yz]|a', 7],
    ['a*|b*|c', 5],
    ['(()^$){9}', 54],
    ['(((', 6],
    ['\\', 0],
    ['[', 1],
  ])('%j: %d', (source, size) => {
    expect(estimatedProgramSize(source)).toBe(size);
  });

  const atom = fc.constantFrom('a', 'bc', '[a-z]', '\\d', '.', '\\.', '(?:xy)', '(z)', '^', '\\b', '()');
  const expression = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      atom,
      fc.tuple(tie('any'), tie('any')).map((parts) => parts.join('')),
      fc.tuple(tie('any'), tie('any')).map((parts) => `(?:${parts.join('|')})`),
      fc.tuple(tie('any'), fc.integer({ min: 1, max: 6 })).map(([part, times]) => `(?:${String(part)}){${times}}`),
      fc
        .tuple(tie('any'), fc.constantFrom('*', '+', '?'))
        .map(([part, often]) => `(?:${String(part)})${String(often)}`),
    ),
  })).any;

  test('is at most four times what it compiles to, and not much less', () => {
    fc.assert(
      fc.property(expression, (given) => {
        const source = String(given);
        const size = RE2JS.compile(source).programSize();
        expect(estimatedProgramSize(source)).toBeLessThanOrEqual(4 * size);
        expect(size).toBeLessThanOrEqual(3 * estimatedProgramSize(source) + 4);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never throws, whatever the text', () => {
    const text = fc.string({ unit: fc.constantFrom(...'()[]{}|\\?:P<>,09aQE^$*pE'), maxLength: 40 });
    fc.assert(
      fc.property(text, (source) => estimatedProgramSize(source) >= 0),
      { numRuns: 5_000 },
    );
  });

  test('refuses at once what would take a second and half a gigabyte to compile', () => {
    expect(() => safeRegex('a{1000}'.repeat(585))).toThrow('too large: about 585000 instructions');
  });

  test.each(['(z)', 'a*', '()', '^', '\\b'])('nor does a thousand times many of %j in a group get by', (part) => {
    const many = `${part}|`.repeat(Math.floor(4_000 / (part.length + 1)));
    expect(() => safeRegex(`(?:${many}b){1000}`)).toThrow('too large: about');
    expect(() => safeRegex(`(?:${many.replaceAll('|', '')}b){1000}`)).toThrow('too large: about');
  });
});
