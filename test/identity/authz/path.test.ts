import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalPath, judgedPath, pathFault } from '../../../src/identity/authz/path.js';

describe('the canonical path', () => {
  test.each([
    ['/', '/'],
    ['/a/b.html', '/a/b.html'],
    ['/a//b///c', '/a/b/c'],
    ['//a', '/a'],
    ['/./a/./b/.', '/a/b/'],
    ['/a/b/../c', '/a/c'],
    ['/a/b/..', '/a/'],
    ['/a/..', '/'],
    ['/a/%2e%2E/b', '/b'],
    ['/a/.%2e/b', '/b'],
    ['/%61dmin', '/admin'],
    ['/%7euser', '/~user'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a%20b', '/a%20b'],
    ['/.../a', '/.../a'],
    ['/.hidden/..b', '/.hidden/..b'],
    ['/A/b', '/A/b'],
  ])('of %s is %s', (path, expected) => {
    expect(canonicalPath(path)).toEqual({ path: expected });
  });

  test.each([
    ['', 'not-absolute'],
    ['admin', 'not-absolute'],
    ['http://h/admin', 'not-absolute'],
    ['/..', 'above-root'],
    ['/a/../../b', 'above-root'],
    ['/a%2fb', 'encoded-slash'],
    ['/a%5Cb', 'encoded-slash'],
    ['/a\\b', 'backslash'],
    ['/a#b', 'fragment'],
    ['/a;b=c', 'parameter'],
    ['/a%3bb', 'parameter'],
    ['/a%00', 'character'],
    ['/a\0', 'character'],
    ['/a%0d%0ab', 'character'],
    ['/a b', 'character'],
    ['/\u00e9', 'character'],
    ['/a%', 'encoding'],
    ['/a%2', 'encoding'],
    ['/a%zz', 'encoding'],
    ['/a%u002f', 'encoding'],
    ['/%252e%252e/b', 'encoded-percent'],
    ['/a%c0%afb', 'not-utf8'],
    ['/a%e9', 'not-utf8'],
    ['/a%ef%bc%8fb', 'compatibility'],
    ['/a/%e2%80%a5/b', 'compatibility'],
  ])('of %j is refused: %s', (path, fault) => {
    expect(canonicalPath(path)).toEqual({ fault });
  });

  test('is its own canonical form, whatever the path was', () => {
    const segment = fc.oneof(
      fc.constantFrom('', '.', '..', '%2e', '%2E.', '...', 'a', 'B', '%41', '%c3%a9', '%20', '~', 'a.b', '%7E'),
      fc.stringMatching(/^[a-z0-9%;#\\]{0,4}$/),
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
        const found = canonicalPath(`/${segments.join('/')}`);
        if (!('path' in found)) return;
        expect(canonicalPath(found.path)).toEqual(found);
        expect(judgedPath(found.path)).toBe(found.path);
        expect(found.path).not.toMatch(/\/\/|\/\.{1,2}(\/|$)|[;#\\]/);
      }),
    );
  });

  test('of any text is found, or refused, and nothing is thrown', () => {
    fc.assert(fc.property(fc.string(), (text) => void canonicalPath(`/${text}`)));
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void judgedPath(text)));
  });
});

describe('the path that is judged', () => {
  test('is served only when it came as it is judged, without its query', () => {
    expect(judgedPath('/a/b?x=/../c#d')).toBe('/a/b');
    expect(judgedPath('/caf%c3%a9')).toBe('/caf%C3%A9');
    expect(judgedPath('*')).toBe('*');
    for (const other of ['/a//b', '/a/./b', '/a/../b', '/%61', '/a;b', '/a#b?c', 'http://h/'])
      expect([other, judgedPath(other)]).toEqual([other, undefined]);
  });

  test('says why it is not', () => {
    expect(['/a', '/a//b', '/a%2fb'].map(pathFault)).toEqual([undefined, 'not-canonical', 'encoded-slash']);
  });
});
