import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Call } from '../../../src/core/call.js';
import { headerFields } from '../../../src/core/headers.js';
import type { HeaderMatch, PathMatch, RouteMatch, SourceMatch } from '../../../src/core/model/match.js';
import { seededRandom } from '../../../src/core/random.js';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';
import { compileMatch } from '../../../src/routing/match.js';
import { RouteTable } from '../../../src/routing/table/table.js';
import { aCall } from '../../support/calls.js';
import { aMatch } from '../../support/targets.js';

const table = (matches: readonly RouteMatch[], source?: { labels: Record<string, string>; principal?: string }) =>
  new RouteTable(
    matches.map((match, value) => ({ match, value })),
    {
      random: seededRandom(1),
      source: source === undefined ? undefined : { principal: undefined, ...source },
    },
  );

/** What the table must do: try one after the other. */
const linear = (matches: readonly RouteMatch[], call: Call): number | undefined => {
  const at = matches.findIndex((match) => compileMatch(match, { random: seededRandom(1) })?.(call) ?? true);
  return at < 0 ? undefined : at;
};

// Few letters, so that prefixes meet; both cases, so that folding matters.
const segment = fc.constantFrom('a', 'b', 'A', 'ab', 'aB', 'abc', '');
const somePath = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
const regexSource = fc.oneof(
  somePath,
  somePath.map((path) => `^${path}.*`),
  somePath.map((path) => `${path}?`),
  somePath.map((path) => `.*${path}`),
  fc.tuple(somePath, somePath).map(([a, b]) => `${a}|${b}`),
  fc.tuple(somePath, somePath).map(([a, b]) => `${a}(${b}|[|]b)*`),
  fc.constantFrom('/a[^b]+', '(?i)/ab', '/a\\.b', '/(a|b)/.*', '.*', '/a{2}', '/\\Qa|b\\E'),
);
const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact', 'prefix', 'segments'), value: somePath, ignoreCase: fc.boolean() }),
  regexSource.map((source) => ({ kind: 'regex' as const, regex: safeRegex(source) })),
);
const headerMatch: fc.Arbitrary<HeaderMatch> = fc.record({
  name: fc.constantFrom('x-a', 'x-b', 'x-b', ':method', 'content-type', 'host'),
  match: fc.oneof(
    fc.record({
      kind: fc.constantFrom('exact', 'exact', 'exact', 'prefix', 'suffix', 'contains'),
      value: fc.constantFrom('a', 'b', 'GET', ''),
      ignoreCase: fc.boolean(),
    }),
    fc.boolean().map((present) => ({ kind: 'present' as const, present })),
    fc
      .constantFrom('(?i)A', 'a|b', '.*a', '[ab]?')
      .map((source) => ({ kind: 'regex' as const, regex: safeRegex(source) })),
    fc.constant({ kind: 'range' as const, start: 1, end: 5 }),
  ),
  invert: fc.boolean(),
  treatMissingAsEmpty: fc.boolean(),
});
const routeMatch: fc.Arbitrary<RouteMatch> = fc.record({
  path: pathMatch,
  headers: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(headerMatch, { minLength: 1, maxLength: 2 })),
  query: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    fc.constantFrom('', 'a').map((value) =>
      [
        { name: 'q', match: { kind: 'exact' as const, value, ignoreCase: false } },
        { name: 'q=a', match: { kind: 'exact' as const, value: '', ignoreCase: false } },
      ].slice(0, value === '' ? 2 : 1),
    ),
    fc.boolean().map((present) => [{ name: 'r', match: { kind: 'present' as const, present } }]),
  ),
  fraction: fc.constantFrom(1, 1, 1, 0),
  grpcOnly: fc.constantFrom(false, false, false, true),
});
const request = fc
  .record({
    path: fc.tuple(somePath, fc.constantFrom('', '?q', '?q=a', '?r=b&q=a', '#a')).map(([path, query]) => path + query),
    method: fc.constantFrom('GET', 'POST'),
    protocol: fc.constantFrom('http' as const, 'grpc' as const),
    headers: fc
      .dictionary(
        fc.constantFrom('x-a', 'x-b', 'content-type'),
        fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'A', 'ba', '3', '') },
          fc.array(fc.constantFrom('a', 'b', 'A', ''), { minLength: 2, maxLength: 3 }),
        ),
      )
      .map((fields) => headerFields(fields)),
  })
  .map((init) => aCall(init));

describe('RouteTable', () => {
  test.each(['names', 'header', 'query', 's'])(
    'tells a header or a query parameter called "%s" from the names of them all',
    (name) => {
      const there = (at: string): HeaderMatch => ({
        name: at,
        match: { kind: 'present', present: true },
        invert: false,
        treatMissingAsEmpty: false,
      });
      const exact = (value: string) => ({ kind: 'exact' as const, value, ignoreCase: false });
      const values = Array.from({ length: 12 }, (_, i) => `v${i}`);
      const byHeader = values.map((value, i) =>
        aMatch({ headers: i % 2 === 0 ? [{ ...there(name), match: exact(value) }] : [there(value)] }),
      );
      const byQuery = values.map((value, i) =>
        aMatch({
          query: [
            i % 2 === 0 ? { name, match: exact(value) } : { name: value, match: { kind: 'present', present: true } },
          ],
        }),
      );
      for (const [i, value] of values.entries()) {
        const headers = headerFields(i % 2 === 0 ? { [name]: value } : { [value]: 'x' });
        expect(table(byHeader).find(aCall({ headers }))).toBe(i);
        const query = i % 2 === 0 ? `${name}=${value}` : value;
        expect(table(byQuery).find(aCall({ path: `/?${query}` }))).toBe(i);
      }
    },
  );

  test('finds what trying one route after the other finds, whatever the routes', () => {
    fc.assert(
      fc.property(
        fc.array(routeMatch, { maxLength: 40 }),
        fc.array(request, { minLength: 1, maxLength: 12 }),
        (matches, calls) => {
          const compiled = table(matches);
          for (const call of calls) expect(compiled.find(call)).toBe(linear(matches, call));
        },
      ),
      { numRuns: 3_000, seed: 4_711 },
    );
  });

  test.each<[string, fc.Arbitrary<PathMatch>]>([
    ['one path', fc.constant({ kind: 'prefix', value: '/a', ignoreCase: false })],
    ['expressions that begin alike', regexSource.map((source) => ({ kind: 'regex', regex: safeRegex(`.*${source}`) }))],
  ])('the same where many routes have %s', (_what, path) => {
    const crowded = fc.array(
      fc.record({ match: routeMatch, path }).map((both) => ({ ...both.match, path: both.path })),
      { minLength: 30, maxLength: 60 },
    );
    fc.assert(
      fc.property(crowded, fc.array(request, { minLength: 1, maxLength: 12 }), (matches, calls) => {
        const compiled = table(matches);
        for (const call of calls) expect(compiled.find(call)).toBe(linear(matches, call));
      }),
      { numRuns: 500, seed: 4_712 },
    );
  });

  test('of routes for the same path the first in the configuration wins, however long the others are', () => {
    const prefix = (value: string): RouteMatch => aMatch({ path: { kind: 'prefix', value, ignoreCase: false } });
    expect(table([prefix('/'), prefix('/a/b')]).find(aCall({ path: '/a/b/c' }))).toBe(0);
    expect(table([prefix('/a/b'), prefix('/')]).find(aCall({ path: '/a/b/c' }))).toBe(0);
    expect(table([prefix('/b'), prefix('/a')]).find(aCall({ path: '/a' }))).toBe(1);
  });

  test('looks at few of 5,000 routes: no expression and no header is asked for that cannot matter', () => {
    let asked = 0;
    const counting = (source: string): PathMatch => {
      const regex = safeRegex(source);
      const matches = (text: string): boolean => {
        asked++;
        return regex.matches(text);
      };
      return { kind: 'regex', regex: { source, matches, replaceAll: () => '' } };
    };
    const matches = Array.from({ length: 5_000 }, (_, i) => aMatch({ path: counting(`^/svc-${i}/(get|list)/.*`) }));
    const compiled = table(matches);
    expect(compiled.find(aCall({ path: '/svc-4321/list/x' }))).toBe(4_321);
    expect(asked).toBeLessThanOrEqual(4);
  });

  test('a route for other callers is left out, one for this caller asks no more', () => {
    const source: SourceMatch = {
      labels: [{ name: 'app', match: { kind: 'exact', value: 'web', ignoreCase: false }, invert: false }],
      principals: [],
    };
    const routes = [aMatch({ source }), aMatch()];
    expect(table(routes, { labels: { app: 'web' } }).find(aCall())).toBe(0);
    expect(table(routes, { labels: { app: 'batch' } }).find(aCall())).toBe(1);
    expect(table(routes, { labels: {} }).find(aCall())).toBe(1);
  });

  test('where callers differ, each request is asked who makes it', () => {
    const source: SourceMatch = {
      labels: [],
      principals: [{ match: { kind: 'prefix', value: 'spiffe://prod/', ignoreCase: false }, invert: false }],
    };
    const routes = table([aMatch({ source })]);
    const from = (principal: string | undefined) => Object.assign(aCall(), { source: { labels: {}, principal } });
    expect(routes.find(from('spiffe://prod/web'))).toBe(0);
    expect(routes.find(from('spiffe://test/web'))).toBeUndefined();
    expect(routes.find(from(undefined))).toBeUndefined();
    expect(routes.find(aCall())).toBeUndefined();
  });

  test('an inverted match of a label that the caller lacks matches nothing', () => {
    const source: SourceMatch = {
      labels: [{ name: 'app', match: { kind: 'exact', value: 'web', ignoreCase: false }, invert: true }],
      principals: [],
    };
    expect(table([aMatch({ source })], { labels: {} }).find(aCall())).toBeUndefined();
    expect(table([aMatch({ source })], { labels: { app: 'batch' } }).find(aCall())).toBe(0);
  });
});
