import { describe, expect, test } from 'vitest';
import { httpRouteYaml, policyYaml, problemsOf, routePolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';

/** Resource and field of each mistake. */
const wrong = (text: string): string[] =>
  problemsOf(text).map((line) => line.replace(/^mesh\.yaml:\d+:\d+ /, '').replace(/: .*$/, ''));

const A = serviceYaml('a');

describe('a resource with mistakes of its own', () => {
  test('has its targets and its fallbacks looked at in the same go', () => {
    const policy = policyYaml('p', 'b', 'outlierDetection: { nonsense: 1 }, fallback: [{ service: { name: c } }]');
    expect(wrong(A + policy)).toEqual([
      'TrafficPolicy/p spec.targetRefs[0].name',
      'TrafficPolicy/p spec.outlierDetection.nonsense',
      'TrafficPolicy/p spec.fallback[0].service.name',
    ]);
  });

  test('has its references looked at when its fields contradict each other', () => {
    const policy = policyYaml('p', 'b', 'loadBalancer: { simple: ROUND_ROBIN, choiceCount: 3 }');
    expect(wrong(A + policy)).toEqual([
      'TrafficPolicy/p spec.targetRefs[0].name',
      'TrafficPolicy/p spec.loadBalancer.choiceCount',
    ]);
  });

  test('has the parents, ports and backends of a route looked at', () => {
    const rules = '[{ nme: x, backendRefs: [{ name: c }, { name: a, port: 8080 }] }]';
    expect(wrong(A + httpRouteYaml('r', 'name: b', rules))).toEqual([
      'HTTPRoute/r spec.parentRefs[0].name',
      'HTTPRoute/r spec.rules[0].nme',
      'HTTPRoute/r spec.rules[0].backendRefs[0].name',
      'HTTPRoute/r spec.rules[0].backendRefs[1].port',
    ]);
  });

  test('has the rules looked at that a RoutePolicy names, of a route with mistakes, too', () => {
    const route = httpRouteYaml('r', 'name: a', '[{ name: x, backendRefs: [{ name: a }], timeouts: { request: 5 } }]');
    const good = routePolicyYaml('good', 'kind: HTTPRoute, name: r, sectionName: z', 'priority: HIGH');
    const bad = routePolicyYaml('bad', 'kind: HTTPRoute, name: r, sectionName: y', 'priority: LOW');
    expect(wrong(A + route + good + bad)).toEqual([
      'HTTPRoute/r spec.rules[0].timeouts.request',
      'RoutePolicy/good spec.targetRefs[0].sectionName',
      'RoutePolicy/bad spec.targetRefs[0].sectionName',
      'RoutePolicy/bad spec.priority',
    ]);
  });
});

describe('one mistake is not told as two', () => {
  test.each([
    [
      'a reference to a Service that is there and wrong',
      serviceYaml('b', 'endpints: []') + policyYaml('p', 'b', 'x: 1'),
      2,
    ],
    ['the kind of an entry', A + httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: c, kind: Pod }] }]'), 1],
    [
      'the namespace of an entry',
      A + httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: c, namespce: x }] }]'),
      1,
    ],
    ['the namespace of a resource', A + policyYaml('"p", namespace: "X Y"', 'a', 'x: 1'), 2],
    [
      'the name of a rule',
      A +
        httpRouteYaml('r', 'name: a', '[{ nam: x, backendRefs: [{ name: a }] }]') +
        routePolicyYaml('p', 'kind: HTTPRoute, name: r, sectionName: x', 'priority: HIGH'),
      1,
    ],
    [
      'a route that is there and wrong',
      A +
        httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: a }], x: 1 }]') +
        routePolicyYaml('p', 'kind: HTTPRoute, name: r', 'x: 1'),
      2,
    ],
    ['a text beside it with two mistakes in its YAML', `${policyYaml('p', 'b', 'x: 1')}\n---\n\tx: [`, 3],
    ['a list with too few entries', A + httpRouteYaml('r', 'name: a', '[]').replace('rules: []', 'rules: 7'), 1],
  ])('%s', (_, text, count) => {
    expect(wrong(text)).toHaveLength(count);
  });
});
