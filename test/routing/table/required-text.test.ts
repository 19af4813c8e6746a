import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';
import { requiredText } from '../../../src/routing/table/required-text.js';

describe('what an expression cannot do without', () => {
  test.each<[string, string, string[][]]>([
    ['/a/b', '/a/b', [['/a/b']]],
    ['^/a/.*', '/a/', [['/a/']]],
    ['.*/svc-1/\\d+', '', [['/svc-1/']]],
    ['/v\\d+/svc-1/items', '/v', [['/v'], ['/svc-1/items']]],
    ['/a\\.b+', '/a.', [['/a.'], ['b']]],
    ['/ab?', '/a', [['/a']]],
    ['/a{2}b{0,3}', '/', [['/'], ['a']]],
    ['/a|/b', '', [['/a', '/b']]],
    ['/(a|b.*c)d', '/', [['/'], ['a', 'b'], ['d']]],
    ['/(a|.*)', '/', [['/']]],
    ['/(?:shop)/(?P<id>\\d+)/x', '/shop/', [['/shop/'], ['/x']]],
    ['/a(/b.*)', '/a/b', [['/a'], ['/b']]],
    ['/a.*/a(b.|c.)', '/a', [['/a'], ['/a'], ['b', 'c']]],
    ['/a[.]b[|x]c', '/a.b', [['/a.b'], ['c']]],
    ['/[]a]b[^]a]c[[:alpha:]]d', '/', [['/'], ['b'], ['c'], ['d']]],
    ['/😀*', '/', [['/']]],
    ['/a{,2}', '/a{,2}', [['/a{,2}']]],
    ['/a\\bb$', '/ab', [['/ab']]],
    ['.*', '', []],
    ['[a-z]+', '', []],
  ])('%s begins with "%s"', (source, prefix, all) => {
    expect(requiredText(source)).toEqual({ prefix, all, ignoreCase: false });
  });

  test('is in lower case where case does not count, and has no letter with a third form', () => {
    expect(requiredText('(?i)/Users/.*/Ab')).toEqual({
      prefix: '',
      all: [['/u'], ['er'], ['/'], ['/ab']],
      ignoreCase: true,
    });
  });

  test.each(['/a\\Qb|c\\E', '/\\x41b', '/\\pLb', '/a(?i:b)', '/a(?i)b', '/[\\QA]b\\E]'])(
    'is not known of %s: it is tried wherever its place in the configuration comes',
    (source) => {
      expect(requiredText(source)).toEqual({ prefix: '', all: [], ignoreCase: false });
    },
  );

  test('is in everything that the expression matches, whatever the expression', () => {
    // An expression and a text made alongside that it matches.
    type Made = { readonly source: string; readonly text: string };
    const { made } = fc.letrec<{ made: Made; atom: Made; part: Made; branch: Made }>((tie) => ({
      atom: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom('a', 'b', '/', '-', 'k', 'S').map((text) => ({ source: text, text })),
        fc.constantFrom('.', '|', '(', '[', '\\', '*').map((text) => ({ source: `\\${text}`, text })),
        fc.constantFrom('.', '[^/]', '\\D', '\\S', '[ab]', '[[:alpha:]]').map((source) => ({ source, text: 'a' })),
        fc.constantFrom('[.]', '[]x]', '[|)]').map((source) => ({ source, text: source[1] as string })),
        fc.constantFrom('\\b|', '^|', '$|').map((source) => ({ source: `(?:${source})`, text: '' })),
        fc
          .tuple(fc.constantFrom('(', '(?:', '(?P<n>'), tie('made'))
          .map(([open, { source, text }]) => ({ source: `${open}${source})`, text })),
      ),
      part: fc
        .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{0,2}', '{1,}', '+?'), fc.nat(1))
        .map(([{ source, text }, quantifier, more]) => {
          if (source === '') return { source: '', text: '' };
          const times = {
            '': 1,
            '*': more,
            '+': 1 + more,
            '?': more,
            '{2}': 2,
            '{0,2}': more,
            '{1,}': 1,
            '+?': 1 + more,
          };
          return { source: source + quantifier, text: text.repeat(times[quantifier as keyof typeof times]) };
        }),
      branch: fc.array(tie('part'), { maxLength: 4 }).map((parts) => ({
        source: parts.map(({ source }) => source).join(''),
        text: parts.map(({ text }) => text).join(''),
      })),
      made: fc.tuple(fc.array(tie('branch'), { minLength: 1, maxLength: 3 }), fc.nat(2)).map(([branches, at]) => ({
        source: branches.map(({ source }) => source).join('|'),
        text: (branches[at % branches.length] as Made).text,
      })),
    }));
    fc.assert(
      fc.property(made, fc.boolean(), ({ source, text }, ignoreCase) => {
        const expression = (ignoreCase ? '(?i)' : '') + source.replaceAll('(?P<n>', '(');
        fc.pre(expression !== '');
        const given = ignoreCase ? text.toUpperCase().replaceAll('K', '\u212a').replaceAll('S', '\u017f') : text;
        expect(safeRegex(expression).matches(given)).toBe(true);
        const known = requiredText(expression);
        const sought = known.ignoreCase ? given.toLowerCase() : given;
        expect(given.startsWith(known.prefix)).toBe(true);
        for (const texts of known.all) expect(texts.some((each) => sought.includes(each))).toBe(true);
      }),
      { numRuns: 3_000, seed: 4_713 },
    );
  });
});
