import { describe, expect, test } from 'vitest';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decoders } from '../../support/decoders.js';
import {
  compileYaml,
  grpcRouteYaml,
  httpRouteYaml,
  policyYaml,
  problemsOf,
  routePolicyYaml,
  serviceYaml,
} from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const SERVICES = serviceYaml('a') + serviceYaml('b') + serviceYaml('c');
const subsetsOf = (name: string, ...keys: string[]): string => {
  const subsets = keys.map((key, i) => `{ name: s${i}, labels: { ${key}: x } }`);
  return policyYaml(name, name, `subsets: [${subsets.join(', ')}]`);
};
const SUBSETS = subsetsOf('b', 'version', 'a') + subsetsOf('c', 'a');
const codec = await loadCodec();

const routePolicy = routePolicyYaml;
const TO_R = 'kind: HTTPRoute, name: r';

/** What a client makes of the routes of Service `a`, after a trip over the wire. */
function routesOf(text: string, options?: Parameters<typeof compileYaml>[1]) {
  const table = compileYaml(SERVICES + text, options).resources[ROUTE].get(NAME) as Resource;
  expect(codec.decodeResource(ROUTE, codec.encodeResource(ROUTE, table))).toEqual(table);
  return decoders[ROUTE](table, NAME).virtualHosts[0]?.routes ?? [];
}
const RULE = '[{ name: one, backendRefs: [{ name: b }] }]';
const routeOf = (spec: string, rules = RULE) =>
  routesOf(SUBSETS + httpRouteYaml('r', 'name: a', rules) + routePolicy('p', TO_R, spec))[0];
const actionOf = (spec: string, rules = RULE) => routeOf(spec, rules)?.action;

describe('a RoutePolicy', () => {
  test('asks who calls', () => {
    const source = routeOf('sourceLabels: { version: v2 }, sourcePrincipals: ["spiffe://d/a.b", "spiffe://d/c"]')?.match
      .source;
    expect(source?.labels).toMatchObject([{ name: 'version', match: { kind: 'exact', value: 'v2' } }]);
    const principal = source?.principals[0]?.match;
    const allows = (id: string) => principal?.kind === 'regex' && principal.regex.matches(id);
    expect(['spiffe://d/a.b', 'spiffe://d/c', 'spiffe://d/aXb', 'spiffe://d/c/d'].map(allows)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(routeOf('sourcePrincipals: ["spiffe://d/c"]')?.match.source?.principals).toMatchObject([
      { match: { kind: 'exact', value: 'spiffe://d/c' } },
    ]);
  });

  test('is for a share of the calls', () => {
    expect(routeOf('requestPercent: 30')?.match.fraction).toBeCloseTo(0.3);
    expect(routeOf('requestPercent: 0')?.match.fraction).toBe(0);
  });

  test('with a condition goes before an equal rule that has none', () => {
    const rules = '[{ name: all, backendRefs: [{ name: b }] }, { name: some, backendRefs: [{ name: c }] }]';
    const text = SUBSETS + httpRouteYaml('r', 'name: a', rules);
    const names = (policy: string) => routesOf(text + policy).map(({ name }) => name);
    expect(names('')).toEqual(['default/r/all', 'default/r/some']);
    const target = `${TO_R}, sectionName: some`;
    expect(names(routePolicy('p', target, 'sourceLabels: { a: b }'))).toEqual(['default/r/some', 'default/r/all']);
    expect(names(routePolicy('p', target, 'subset: { a: b }'))).toEqual(['default/r/all', 'default/r/some']);
  });

  test('for a share leaves out what backends that are not there have taken of it', () => {
    const text =
      httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: b }, { name: gone }] }]') +
      routePolicy('p', TO_R, 'requestPercent: 50');
    const routes = routesOf(text, { danglingBackends: 'answer-500' });
    expect(routes.map(({ match, action }) => [action.kind, match.fraction])).toEqual([
      ['direct', 0.25],
      // Of 75 calls that are left, the 25 that are a third of them.
      ['forward', 0.333333],
    ]);
  });

  test('asks for endpoints by label', () => {
    expect(actionOf('subset: { version: v2 }')).toMatchObject({ kind: 'forward', subset: { version: 'v2' } });
  });

  test('hashes in place of the policy of the backend, and keeps a user with one backend', () => {
    const weighted = '[{ backendRefs: [{ name: b, weight: 9 }, { name: c }] }]';
    const text =
      httpRouteYaml('r', 'name: a', weighted) +
      routePolicy('p', TO_R, 'consistentHash: { httpCookie: { name: user } }, stickyBackends: true') +
      policyYaml('b', 'b', 'loadBalancer: { consistentHash: { useSourceIp: true } }');
    expect(routesOf(text)[0]?.action).toMatchObject({
      weightedByHash: true,
      hashPolicies: [{ kind: 'cookie', name: 'user' }],
    });
  });

  test('rewrites by an expression, takes the host from a header, answers by itself', () => {
    expect(
      actionOf('regexRewrite: { pattern: "^/v([0-9]+)/", substitution: "/\\\\1/" }, hostRewriteHeader: X-Host'),
    ).toMatchObject({
      pathRewrite: { kind: 'regex', regex: { source: '^/v([0-9]+)/' }, substitution: '/\\1/' },
      hostRewrite: { kind: 'header', name: 'x-host' },
    });
    expect(actionOf('directResponse: { status: 503, body: later }')).toEqual({
      kind: 'direct',
      status: 503,
      body: Buffer.from('later'),
    });
  });

  test('is for every rule without one of its own, and for a GRPCRoute', () => {
    const rules =
      '[{ name: one, matches: [{ path: { type: Exact, value: /1 } }] }, { name: two, matches: [{ path: { type: Exact, value: /2 } }] }]';
    const text =
      httpRouteYaml('r', 'name: a', rules) +
      routePolicy('own', `${TO_R}, sectionName: two`, 'directResponse: { status: 201 }') +
      routePolicy('whole', TO_R, 'directResponse: { status: 200 }');
    expect(routesOf(text).map(({ action }) => action)).toMatchObject([{ status: 200 }, { status: 201 }]);
    const grpc = grpcRouteYaml('g', 'name: a', '[{ backendRefs: [{ name: b }] }]');
    const policy = routePolicy('p', 'kind: GRPCRoute, name: g', 'subset: { a: "2" }');
    expect(routesOf(SUBSETS + grpc + policy)[0]?.action).toMatchObject({ subset: { a: '2' } });
  });

  const said = (text: string): string[] =>
    problemsOf(SERVICES + httpRouteYaml('r', 'name: a', RULE) + text).map((line) =>
      line.replace(/^\S+ RoutePolicy\//, ''),
    );

  test.each([
    ['', 'kind: HTTPRoute, name: s', 'p spec.targetRefs[0].name: there is no HTTPRoute "s"; did you mean "r"?'],
    [
      '',
      `${TO_R}, sectionName: onee`,
      'p spec.targetRefs[0].sectionName: HTTPRoute "r" has no rule named "onee"; its names: one',
    ],
    [
      'subset: { version: v2 }',
      TO_R,
      'p spec.subset: b.default:80 has no subsets by version: give its TrafficPolicy one with such labels',
    ],
    ['subset: {}', TO_R, 'p spec.subset: must have at least one label'],
    [
      'sourcePrincipals: [web]',
      TO_R,
      'p spec.sourcePrincipals[0]: must be a SPIFFE ID such as spiffe://example.org/web, got "web"',
    ],
    [
      'directResponse: { status: 200 }, subset: { a: b }',
      TO_R,
      'p spec.subset: means nothing beside directResponse: remove one of them',
    ],
    [
      'consistentHash: { cookie: x }',
      TO_R,
      'p spec.consistentHash.cookie: unknown field; known: httpHeaderName, httpCookie, httpQueryParameterName, useSourceIp',
    ],
  ])('%s on %s is a mistake', (spec, target, message) => {
    expect(said(routePolicy('p', target, spec))).toEqual([message]);
  });

  test('with an expression that is none is a mistake, as is one that asks for a group that is not there', () => {
    expect(said(routePolicy('p', TO_R, 'regexRewrite: { pattern: "(" }'))[0]).toMatch(
      /^p spec\.regexRewrite\.pattern: must be an RE2 regular expression/,
    );
    expect(said(routePolicy('p', TO_R, 'regexRewrite: { pattern: a, substitution: "\\\\1" }'))[0]).toMatch(
      /^p spec\.regexRewrite\.substitution: /,
    );
  });

  test('beside another for the same rules is a mistake', () => {
    expect(said(routePolicy('p', TO_R, '') + routePolicy('q', TO_R, ''))).toEqual([
      'q spec.targetRefs[0]: these rules already have RoutePolicy "p": put both into one',
    ]);
  });
});
