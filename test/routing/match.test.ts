import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileMatch } from '../../src/routing/match.js';
import { rewritePath } from '../../src/routing/rewrite.js';
import type { CallInit } from '../../src/core/call.js';
import { headerFields } from '../../src/core/headers.js';
import type { HeaderMatch, PathMatch, QueryMatch, RouteMatch } from '../../src/core/model/match.js';
import { seededRandom } from '../../src/core/random.js';
import { aCall } from '../support/calls.js';
import { aMatch } from '../support/targets.js';

const matches = (match: Partial<RouteMatch>, init: Partial<CallInit>): boolean =>
  compileMatch(aMatch(match), { random: seededRandom(1) })?.(aCall(init)) ?? true;

const path = (kind: 'exact' | 'prefix' | 'segments', value: string, ignoreCase = false): PathMatch => ({
  kind,
  value,
  ignoreCase,
});

describe('path match', () => {
  test.each<[PathMatch, string, boolean]>([
    [path('exact', '/a'), '/a', true],
    [path('exact', '/a'), '/a?x=1', true],
    [path('exact', '/a'), '/a/', false],
    [path('exact', '/a'), '/A', false],
    [path('exact', '/a', true), '/A', true],
    [path('prefix', '/a'), '/ab', true],
    [path('prefix', '/'), '/anything', true],
    [path('segments', '/a'), '/a', true],
    [path('segments', '/a'), '/a/', true],
    [path('segments', '/a'), '/a/b', true],
    [path('segments', '/a'), '/ab', false],
    [path('segments', '/a/'), '/a', true],
    [path('segments', '/'), '/b', true],
    [path('segments', '/a', true), '/A/b', true],
  ])('%o on %s: %s', (match, asked, expected) => {
    expect(matches({ path: match }, { path: asked })).toBe(expected);
  });
});

describe('header match', () => {
  const header = (more: Partial<HeaderMatch>): Partial<RouteMatch> => ({
    headers: [
      {
        name: 'x-env',
        match: { kind: 'exact', value: 'v', ignoreCase: false },
        invert: false,
        treatMissingAsEmpty: false,
        ...more,
      },
    ],
  });
  const present = (on: boolean): HeaderMatch['match'] => ({ kind: 'present', present: on });
  const range: HeaderMatch['match'] = { kind: 'range', start: -5, end: 10 };

  test.each<[string, Partial<HeaderMatch>, string | string[] | undefined, boolean]>([
    ['the value', {}, 'v', true],
    ['another value', {}, 'w', false],
    ['no value', {}, undefined, false],
    ['an inverted match of another value', { invert: true }, 'w', true],
    ['an inverted match of an absent header', { invert: true }, undefined, false],
    [
      'an inverted match of an absent header that counts as empty',
      { invert: true, treatMissingAsEmpty: true },
      undefined,
      true,
    ],
    ['any of several values', {}, ['w', 'v'], true],
    ['several values, not as one', { match: { kind: 'exact', value: 'a,b', ignoreCase: false } }, ['a', 'b'], false],
    ['an inverted match of none of several values', { invert: true }, ['w', 'x'], true],
    ['an inverted match of one of several values', { invert: true }, ['w', 'v'], false],
    ['a range that has one of several values', { match: range }, ['100', '7'], true],
    ['presence', { match: present(true) }, '', true],
    ['presence of an absent header', { match: present(true) }, undefined, false],
    ['absence', { match: present(false) }, undefined, true],
    [
      'presence of an absent header that counts as empty',
      { match: present(true), treatMissingAsEmpty: true },
      undefined,
      true,
    ],
    ['absence of one that counts as empty', { match: present(false), treatMissingAsEmpty: true }, undefined, false],
    ['absence, inverted', { match: present(false), invert: true }, undefined, false],
    ['the start of a range', { match: range }, '-5', true],
    ['the end of a range, which is not in it', { match: range }, '10', false],
    ['a number that is none', { match: range }, '1.5', false],
    ['a suffix', { match: { kind: 'suffix', value: 'GHI', ignoreCase: true } }, 'defghi', true],
    ['what it contains', { match: { kind: 'contains', value: 'efg', ignoreCase: false } }, 'defghi', true],
  ])('%s', (_name, more, value, expected) => {
    const headers = headerFields(value === undefined ? {} : { 'x-env': value });
    expect(matches(header(more), { headers })).toBe(expected);
  });

  test('sees pseudo-headers by name', () => {
    const exact = (name: string, value: string): Partial<RouteMatch> =>
      header({ name, match: { kind: 'exact', value, ignoreCase: false } });
    expect(matches(exact(':method', 'PUT'), { method: 'PUT' })).toBe(true);
    expect(matches(exact(':path', '/a?b'), { path: '/a?b' })).toBe(true);
    expect(matches(exact(':authority', 'reviews'), {})).toBe(true);
  });

  test('sees repeated metadata of gRPC as one value, joined (gRFC A28)', () => {
    const headers = headerFields({ 'x-env': ['a', 'b'] });
    const exact = (value: string): HeaderMatch['match'] => ({ kind: 'exact', value, ignoreCase: false });
    expect(matches(header({ match: exact('a,b') }), { protocol: 'grpc', headers })).toBe(true);
    expect(matches(header({ match: exact('a') }), { protocol: 'grpc', headers })).toBe(false);
  });

  test('sees no binary metadata of gRPC, and its content type always as application/grpc (gRFC A28)', () => {
    const headers = headerFields({ 'x-bin': 'AA==', 'content-type': 'application/grpc+proto' });
    expect(matches(header({ name: 'x-bin', match: present(true) }), { protocol: 'grpc', headers })).toBe(false);
    expect(matches(header({ name: 'x-bin', match: present(true) }), { protocol: 'http', headers })).toBe(true);
    const type: HeaderMatch['match'] = { kind: 'exact', value: 'application/grpc', ignoreCase: false };
    expect(matches(header({ name: 'content-type', match: type }), { protocol: 'grpc', headers })).toBe(true);
  });
});

describe('query match', () => {
  const query = (match: QueryMatch['match']): Partial<RouteMatch> => ({ query: [{ name: 'v', match }] });
  const exact: QueryMatch['match'] = { kind: 'exact', value: 'a b', ignoreCase: false };
  const written: QueryMatch['match'] = { kind: 'exact', value: 'a%20b', ignoreCase: false };

  test('compares the first value as it is written, as Envoy does', () => {
    expect(matches(query(exact), { path: '/?v=a%20b' })).toBe(false);
    expect(matches(query(written), { path: '/?v=a%20b&v=c' })).toBe(true);
    expect(matches(query(written), { path: '/?v=c&v=a%20b' })).toBe(false);
    expect(matches(query(written), { path: '/?vv=1&v=a%20b' })).toBe(true);
    expect(matches(query(written), { path: '/' })).toBe(false);
  });

  test('knows presence', () => {
    expect(matches(query({ kind: 'present', present: true }), { path: '/?v' })).toBe(true);
    expect(matches(query({ kind: 'present', present: true }), { path: '/?w' })).toBe(false);
    expect(matches(query({ kind: 'present', present: false }), { path: '/?w=v' })).toBe(true);
    expect(matches(query({ kind: 'exact', value: '', ignoreCase: false }), { path: '/?v&w' })).toBe(true);
    expect(matches(query({ kind: 'exact', value: '', ignoreCase: false }), { path: '/?v=&w' })).toBe(true);
  });
});

describe('fraction', () => {
  test('a route with a fraction takes that share of the calls', () => {
    const predicate = compileMatch(aMatch({ fraction: 0.3 }), { random: seededRandom(2) });
    let taken = 0;
    for (let i = 0; i < 10_000; i++) if (predicate?.(aCall())) taken++;
    // Binomial(10 000, 0.3): five standard deviations are 229.
    expect(Math.abs(taken - 3_000)).toBeLessThan(229);
  });
});

describe('rewritePath', () => {
  test.each<[string, PathMatch, string, string]>([
    // The table of the Gateway API's ReplacePrefixMatch.
    ['/foo/bar', path('segments', '/foo'), '/xyz', '/xyz/bar'],
    ['/foo/bar', path('segments', '/foo'), '/xyz/', '/xyz/bar'],
    ['/foo/bar', path('segments', '/foo/'), '/xyz', '/xyz/bar'],
    ['/foo/bar', path('segments', '/foo/'), '/xyz/', '/xyz/bar'],
    ['/foo', path('segments', '/foo'), '/xyz', '/xyz'],
    ['/foo/', path('segments', '/foo'), '/xyz', '/xyz/'],
    ['/foo/bar', path('segments', '/foo'), '', '/bar'],
    ['/foo/', path('segments', '/foo'), '', '/'],
    ['/foo', path('segments', '/foo'), '', '/'],
    ['/foo/', path('segments', '/foo'), '/', '/'],
    ['/foo', path('segments', '/foo'), '/', '/'],
    // Envoy's prefix_rewrite works on characters.
    ['/foobar', path('prefix', '/foo'), '/x', '/xbar'],
    ['/foo?q=1', path('prefix', '/foo'), '/x', '/x?q=1'],
  ])('%s matched by %o, replaced by "%s": %s', (asked, match, value, expected) => {
    expect(rewritePath(asked, { kind: 'prefix', value }, match)).toBe(expected);
  });

  test('a full rewrite keeps the query', () => {
    expect(rewritePath('/a/b?c=d', { kind: 'full', value: '/x' }, path('prefix', '/'))).toBe('/x?c=d');
  });

  test('a full rewrite with a query of its own replaces the one that came', () => {
    expect(rewritePath('/a?c=d', { kind: 'full', value: '/x?y=z' }, path('prefix', '/'))).toBe('/x?y=z');
  });

  test('whatever is rewritten, the path starts with a slash and the query stays', () => {
    const text = fc.string({ maxLength: 10 }).map((t) => t.replaceAll('?', ''));
    fc.assert(
      fc.property(text, text, text, fc.constantFrom('prefix', 'segments'), (match, rest, value, kind) => {
        const rewritten = rewritePath(`/${match}${rest}?q`, { kind: 'prefix', value }, path(kind, `/${match}`));
        expect(rewritten.startsWith('/')).toBe(true);
        expect(rewritten.endsWith('?q')).toBe(true);
      }),
    );
  });
});
