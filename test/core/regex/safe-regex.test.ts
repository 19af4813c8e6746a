import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { literalMatcher } from '../../../src/core/regex/literal.js';
import { safeRegex, safeSubstitution } from '../../../src/core/regex/safe-regex.js';

describe('a safe expression', () => {
  test.each<[string, string[], string[]]>([
    ['abc', ['abc'], ['xabc', 'abcx', 'ABC']],
    ['a|ab', ['a', 'ab'], ['abx']],
    ['/a\\.b/.*', ['/a.b/', '/a.b/c'], ['/axb/c', '/a.b']],
    ['.*\\.example\\.com', ['a.example.com', '.example.com'], ['example.com']],
    ['.*b.*', ['b', 'abc'], ['ac', 'b\n']],
    ['^/x$', ['/x'], ['/x/', '\\/x']],
    ['(?i)abc', ['ABC'], ['abcd']],
    ['', [], []],
  ])('%s matches the whole text or not', (source, yes, no) => {
    if (source === '') return expect(() => safeRegex(source)).toThrow('must not be empty');
    const { matches } = safeRegex(source);
    expect(yes.filter((text) => !matches(text))).toEqual([]);
    expect(no.filter((text) => matches(text))).toEqual([]);
  });

  test('takes linear time on what would take a backtracking engine for ever', () => {
    expect(safeRegex('^(a+)+$').matches(`${'a'.repeat(5_000)}!`)).toBe(false);
    expect(safeRegex('(x+x+)+y').matches('x'.repeat(5_000))).toBe(false);
  });

  test.each<[string, string]>([
    ['[', 'missing closing ]'],
    ['(?=a)', 'invalid or unsupported Perl syntax'],
    ['(a)\\1', 'invalid escape sequence'],
    ['a'.repeat(4_097), 'must be at most 4096 characters long, has 4097'],
    ['(a{0,1000}){0,1}'.repeat(10), 'too large: about 10020 instructions, at most 2000'],
    ['(((a{100}){100}){100})', 'too large: about 1020202 instructions'],
    ['a{1001}', 'invalid repeat count'],
    ['(?:a|bc){1000}', 'too large: 4002 instructions'],
    ['('.repeat(2_000) + ')'.repeat(2_000), 'nests too deeply'],
  ])('is refused: %.40s', (source, problem) => {
    expect(() => safeRegex(source)).toThrow(problem);
  });

  test('replaces every match, with groups', () => {
    const replace = (source: string, substitution: string, text: string) =>
      safeSubstitution(source, substitution).replaceAll(text, substitution);
    expect(replace('a', 'b', 'banana')).toBe('bbnbnb');
    expect(replace('(\\w)(\\w)', '\\2\\1', 'abcd')).toBe('badc');
    expect(replace('b+', '[\\0]\\\\', 'abba')).toBe('a[bb]\\a');
    expect(replace('(x)?y', '<\\1>', 'yxy')).toBe('<><x>');
    expect(replace('a', '$1$&', 'a')).toBe('$1$&');
    expect(replace('(?P<n>a)', '\\1\\1', 'a')).toBe('aa');
  });

  test.each(['\\1', '\\x', '\\'])('a substitution that cannot be done is refused: %s', (substitution) => {
    expect(() => safeSubstitution('a', substitution)).toThrow();
  });
});

describe('expressions that are plain text', () => {
  test.each(['abc', '/a/b', 'a\\.b', '.*a', 'a.*', '.*a.*', '^a$', '.*'])('%s needs no engine', (source) => {
    expect(literalMatcher(source)).toBeTypeOf('function');
  });

  test.each(['a+', 'a\\d', 'a|b', '(a)', '[a]', 'a.b', 'a{2}', 'a\\', 'a.*b', 'a\\.*', 'a\\$', '^^a', '\\b'])(
    '%s does',
    (source) => {
      const known = literalMatcher(source);
      // Those that are plain after all (an escaped dollar at the end) still have to agree with the engine: see below.
      if (source !== 'a\\$') expect(known).toBeUndefined();
    },
  );

  test('agree with the engine', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      '/',
      '.*',
      '\\.',
      '.',
      '\\*',
      '\\\\',
      '\n',
      '^',
      '$',
      '-',
      '\\$',
      '_',
      'é',
      '😀',
      '\\_',
    );
    const text = fc
      .array(fc.constantFrom('a', 'b', '/', '.', '*', '\\', '\n', '-', '$', '_', 'é', '😀', '^'), { maxLength: 6 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 5 }),
        fc.array(text, { minLength: 5, maxLength: 5 }),
        (pieces, texts) => {
          const source = pieces.join('');
          const fast = literalMatcher(source);
          if (fast === undefined) return;
          const engine = RE2JS.compile(source);
          const likely = source.replaceAll('.*', '').replace(/[\\^$]/g, '');
          for (const candidate of [...texts, source, likely, `${likely}a`, `a${likely}`]) {
            expect([source, candidate, fast(candidate)]).toEqual([source, candidate, engine.testExact(candidate)]);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
