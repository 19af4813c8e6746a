import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareMatches, grpcSpecificity, httpSpecificity } from '../../../src/controlplane/compile/precedence.js';
import { compileYaml, grpcRouteYaml, httpRouteYaml, routesOf, serviceYaml } from '../../support/mesh-yaml.js';

const A = serviceYaml('a');
/** Names of the rules of Service `a` in their order; each name once. */
const order = (text: string): string[] => [
  ...new Set(routesOf(compileYaml(A + text), 'a.default:80').map(({ name }) => name.replace('default/', ''))),
];
const http = (...matches: string[]): string[] =>
  order(httpRouteYaml('r', 'name: a', `[${matches.map((match) => `{ matches: [${match}] }`).join(', ')}]`));
const grpc = (...matches: string[]): string[] =>
  order(grpcRouteYaml('r', 'name: a', `[${matches.map((match) => `{ matches: [${match}] }`).join(', ')}]`));

describe('HTTPRoute precedence (Gateway API v1, HTTPRouteRule.matches)', () => {
  // Each pair is written the wrong way round: the second must come out first.
  test.each([
    [
      'an exact path before a prefix, however long',
      '{ path: { value: /a/b/c/d } }',
      '{ path: { type: Exact, value: /a } }',
    ],
    [
      'an exact path before an expression',
      '{ path: { type: RegularExpression, value: "/a.*long" } }',
      '{ path: { type: Exact, value: /a } }',
    ],
    [
      'an expression before a prefix',
      '{ path: { value: /a/b/c/d } }',
      '{ path: { type: RegularExpression, value: "/a.*" } }',
    ],
    [
      'the longer expression',
      '{ path: { type: RegularExpression, value: "/a.*" } }',
      '{ path: { type: RegularExpression, value: "/a/b.*" } }',
    ],
    ['the longer prefix', '{ path: { value: /a } }', '{ path: { value: /a/b } }'],
    [
      'the longer prefix before more headers',
      '{ path: { value: /a }, headers: [{ name: x, value: y }] }',
      '{ path: { value: /ab } }',
    ],
    ['a method', '{}', '{ method: GET }'],
    ['a method before headers', '{ headers: [{ name: x, value: y }, { name: z, value: y }] }', '{ method: GET }'],
    [
      'more headers',
      '{ headers: [{ name: x, value: y }] }',
      '{ headers: [{ name: x, value: y }, { name: z, value: y }] }',
    ],
    [
      'headers before query parameters',
      '{ queryParams: [{ name: p, value: q }, { name: r, value: s }] }',
      '{ headers: [{ name: x, value: y }] }',
    ],
    [
      'more query parameters',
      '{ queryParams: [{ name: p, value: q }] }',
      '{ queryParams: [{ name: p, value: q }, { name: r, value: s }] }',
    ],
  ])('%s', (_, second, first) => {
    expect(http(second, first)).toEqual(['r/1', 'r/0']);
  });

  test('a trailing slash of a prefix does not count', () => {
    expect(http('{ path: { value: /a } }', '{ path: { value: /a/ } }')).toEqual(['r/0', 'r/1']);
  });

  test('the first rule, when matches are equal', () => {
    expect(http('{ headers: [{ name: x, value: "1" }] }', '{ headers: [{ name: y, value: "1" }] }')).toEqual([
      'r/0',
      'r/1',
    ]);
  });

  test('each match of a rule stands for itself', () => {
    const text = httpRouteYaml(
      'r',
      'name: a',
      '[{ matches: [{ path: { value: /a } }, { path: { value: /a/b/c } }] }, { matches: [{ path: { value: /a/b } }] }]',
    );
    const matches = routesOf(compileYaml(A + text), 'a.default:80').map(({ match }) => match.path ?? match.prefix);
    expect(matches).toEqual(['/a/b/c', '/a/b/c/', '/a/b', '/a/b/', '/a', '/a/']);
  });

  test('across routes the oldest, then the first by name', () => {
    const routes =
      httpRouteYaml('b', 'name: a', '[{}]') +
      httpRouteYaml('c', 'name: a', '[{}]', 'creationTimestamp: "2026-01-02T00:00:00Z"') +
      httpRouteYaml('d', 'name: a', '[{}]', 'creationTimestamp: "2026-01-01T00:00:00Z"') +
      httpRouteYaml('a', 'name: a', '[{}]');
    expect(order(routes)).toEqual(['d/0', 'c/0', 'a/0', 'b/0']);
  });

  test('a better match of a younger route goes before a worse one of the oldest', () => {
    const routes =
      httpRouteYaml('old', 'name: a', '[{}]', 'creationTimestamp: "2020-01-01T00:00:00Z"') +
      httpRouteYaml('young', 'name: a', '[{ matches: [{ path: { value: /x } }] }]');
    expect(order(routes)).toEqual(['young/0', 'old/0']);
  });

  test('nothing but the routes attached: without a match there is no way to the Service itself', () => {
    expect(http('{ path: { value: /only } }')).toEqual(['r/0']);
  });
});

describe('GRPCRoute precedence (Gateway API v1, GRPCRouteRule.matches)', () => {
  test.each([
    ['the longer service', '{ method: { service: p.S } }', '{ method: { service: p.SS } }'],
    [
      'the longer service before a method',
      '{ method: { service: p.S, method: Mmmmm } }',
      '{ method: { service: p.SS } }',
    ],
    ['the longer method', '{ method: { service: p.S, method: M } }', '{ method: { service: p.S, method: MM } }'],
    [
      'a method before headers',
      '{ method: { service: p.S }, headers: [{ name: x, value: y }] }',
      '{ method: { service: p.S, method: M } }',
    ],
    ['more headers', '{ method: { service: p.S } }', '{ method: { service: p.S }, headers: [{ name: x, value: y }] }'],
    [
      'an exact name before an expression',
      '{ method: { type: RegularExpression, service: "p[.]Long.*" } }',
      '{ method: { service: p.S } }',
    ],
  ])('%s', (_, second, first) => {
    expect(grpc(second, first)).toEqual(['r/1', 'r/0']);
  });
});

describe('the order', () => {
  const origin = fc.record({
    createdAt: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
    namespace: fc.constantFrom('a', 'b'),
    name: fc.constantFrom('x', 'y'),
    rule: fc.nat(2),
    match: fc.nat(2),
  });
  const header = fc.record({
    type: fc.constant('Exact' as const),
    name: fc.constantFrom('x', 'y'),
    value: fc.constant('v'),
  });
  const httpMatch = fc.record(
    {
      path: fc.record({
        type: fc.constantFrom('Exact' as const, 'PathPrefix' as const, 'RegularExpression' as const),
        value: fc.constantFrom('/', '/a', '/a/', '/ab', '/a/b'),
      }),
      headers: fc.array(header, { maxLength: 2 }),
      queryParams: fc.array(header, { maxLength: 2 }),
      method: fc.constantFrom('GET' as const, undefined),
    },
    { requiredKeys: ['path'] },
  );
  const grpcMatch = fc.record(
    {
      method: fc.record(
        {
          type: fc.constantFrom('Exact' as const, 'RegularExpression' as const),
          service: fc.constantFrom('', 'a', 'ab'),
          method: fc.constantFrom('', 'm'),
        },
        { requiredKeys: ['type'] },
      ),
      headers: fc.array(header, { maxLength: 2 }),
    },
    { requiredKeys: [] },
  );
  const candidates = [
    ['HTTP', fc.record({ specificity: httpMatch.map((match) => httpSpecificity(match as never)), origin })],
    ['gRPC', fc.record({ specificity: grpcMatch.map((match) => grpcSpecificity(match as never)), origin })],
  ] as const;

  test.each(candidates)(
    'of %s matches is total: antisymmetric, transitive, and equal only for one origin',
    (_, candidate) => {
      fc.assert(
        fc.property(candidate, candidate, candidate, (a, b, c) => {
          expect(Math.sign(compareMatches(a, b)) + Math.sign(compareMatches(b, a))).toBe(0);
          if (compareMatches(a, b) <= 0 && compareMatches(b, c) <= 0)
            expect(compareMatches(a, c)).toBeLessThanOrEqual(0);
          if (compareMatches(a, b) === 0) expect(a.origin).toEqual(b.origin);
        }),
        { numRuns: 2_000 },
      );
    },
  );
});
