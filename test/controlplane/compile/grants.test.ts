import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileText, formatProblem } from '../../../src/controlplane/config.js';
import { CLUSTER } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import {
  clusterOf,
  compileYaml,
  grantYaml,
  grpcRouteYaml,
  httpRouteYaml,
  policyYaml,
  routePolicyYaml,
  routesOf,
  serviceYaml,
} from '../../support/mesh-yaml.js';

const TWO_PORTS = 'ports: [{ name: x, port: 80 }, { name: y, port: 90 }], endpoints: ["127.0.0.1:1"]';
const SERVICES =
  serviceYaml('a') + serviceYaml('b', TWO_PORTS, 'namespace: prod') + serviceYaml('c', TWO_PORTS, 'namespace: prod');
const NAME = 'a.default:80';
const B = '{ name: b, namespace: prod }';
const http = (rule: string): string => SERVICES + httpRouteYaml('r', 'name: a', `[{ ${rule} }]`);
const httpGrant = grantYaml('g', 'prod', 'HTTPRoute', 'default', 'b');
const warningsOf = (text: string): string[] => compileYaml(text).warnings.map(formatProblem);
const firstRoute = (text: string) => routesOf(compileYaml(text), NAME)[0];

describe('a backend of another namespace', () => {
  const toB = http(`backendRefs: [${B}]`);

  test('is one like any other with a grant', () => {
    expect(firstRoute(toB + httpGrant).route).toEqual({ cluster: 'b.prod:80' });
    expect(warningsOf(toB + httpGrant)).toEqual([]);
  });

  test('answers 500 without, UNAVAILABLE in a GRPCRoute', () => {
    expect(firstRoute(toB)).toEqual({
      name: 'default/r/0',
      match: { prefix: '/' },
      direct_response: { status: 500 },
    });
    const grpc = SERVICES + grpcRouteYaml('g', 'name: a', `[{ backendRefs: [${B}] }]`);
    expect(firstRoute(grpc).direct_response).toEqual({ status: 503 });
    expect(firstRoute(grpc + grantYaml('g', 'prod', 'GRPCRoute', 'default')).route).toEqual({ cluster: 'b.prod:80' });
  });

  test('answers so for its share', () => {
    const routes = routesOf(compileYaml(http(`backendRefs: [{ name: a, weight: 3 }, ${B}]`)), NAME);
    expect(routes.map(({ match, direct_response, route }) => [match.runtime_fraction, direct_response, route])).toEqual(
      [
        [{ default_value: { numerator: 250_000, denominator: 'MILLION' } }, { status: 500 }, undefined],
        [undefined, undefined, { cluster: NAME }],
      ],
    );
  });

  test('is warned of at its namespace, with the grant to write', () => {
    const [message] = warningsOf(http('backendRefs:\n      [{ name: b,\n        namespace: prod }]'));
    expect(message).toMatch(/^mesh\.yaml:\d+:20 HTTPRoute\/r spec\.rules\[0\]\.backendRefs\[0\]\.namespace: /);
    const spec = /with spec (\{.*\})$/.exec(message ?? '')?.[1];
    const written = `
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: written, namespace: prod }
spec: ${spec}
`;
    expect(warningsOf(toB + written)).toEqual([]);
    expect(firstRoute(toB + written).route).toEqual({ cluster: 'b.prod:80' });
  });

  test('is not said to be there or not, unless it is permitted', () => {
    const [there, missing] = ['b', 'x'].map((name) =>
      warningsOf(http(`backendRefs: [{ name: ${name}, namespace: prod, port: 81 }]`)),
    );
    expect(there).toHaveLength(1);
    expect(missing).toEqual(there?.map((line) => line.replace('name: b }', 'name: x }')));
  });

  test('needs no grant when it is the namespace of the route', () => {
    const inProd = httpRouteYaml('r', 'name: b', `[{ backendRefs: [${B}, { name: c }] }]`, 'namespace: prod');
    expect(warningsOf(SERVICES + inProd)).toEqual([]);
  });

  test('may be taken away without a mistake in a policy that needs something of it', () => {
    const text =
      toB +
      policyYaml('b', 'b', 'sessionPersistence: {}').replace('{ name: b }', '{ name: b, namespace: prod }') +
      routePolicyYaml('p', 'kind: HTTPRoute, name: r', 'strictSession: true');
    expect(warningsOf(text + httpGrant)).toEqual([]);
    expect(firstRoute(text).direct_response).toEqual({ status: 500 });
  });
});

test('a mirror of another namespace is left out without a grant, and warned of', () => {
  const mirror = `{ type: RequestMirror, requestMirror: { backendRef: ${B} } }`;
  const ofRule = http(`backendRefs: [{ name: a }], filters: [${mirror}]`);
  const ofBackend = http(`backendRefs: [{ name: a, filters: [${mirror}] }]`);
  for (const text of [ofRule, ofBackend]) {
    expect(firstRoute(text).route).not.toHaveProperty('request_mirror_policies');
    expect(firstRoute(text + httpGrant).route.request_mirror_policies).toEqual([{ cluster: 'b.prod:80' }]);
  }
  expect([ofRule, ofBackend].flatMap((text) => compileYaml(text).warnings.map(({ path }) => path))).toEqual([
    'spec.rules[0].filters[0].requestMirror.backendRef.namespace',
    'spec.rules[0].backendRefs[0].filters[0].requestMirror.backendRef.namespace',
  ]);
});

test('a fallback of another namespace is left out without a grant for TrafficPolicies, and warned of', () => {
  const text = SERVICES + policyYaml('p', 'a', `fallback: [{ service: ${B} }, { stale: {} }]`);
  const kinds = (yaml: string) =>
    decoders[CLUSTER](clusterOf(compileYaml(yaml), NAME), NAME).settings.fallback?.map(({ kind }) => kind);
  expect(kinds(text + httpGrant)).toEqual(['stale']);
  expect(compileYaml(text).warnings.map(({ path }) => path)).toEqual(['spec.fallback[0].service.namespace']);
  expect(kinds(text + grantYaml('g', 'prod', 'TrafficPolicy', 'default'))).toEqual(['service', 'stale']);
});

test('any grant of the namespace permits what any of its entries say, and nothing else does', () => {
  const pick = <T>(...values: T[]) => fc.constantFrom(...values);
  const group = pick('gateway.networking.k8s.io', '', 'inmesh.dev');
  const entry = { group, kind: pick('HTTPRoute', 'GRPCRoute', 'Service'), namespace: pick('default', 'x') };
  const target = { group, kind: pick('Service', 'Secret'), name: pick(undefined, 'b', 'c') };
  const grant = fc.record({
    namespace: pick('prod', 'default', 'x'),
    from: fc.array(fc.record(entry), { minLength: 1, maxLength: 3 }),
    to: fc.array(fc.record(target), { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(grant, { maxLength: 4 }), (grants) => {
      const permitted = grants.some(
        ({ namespace, from, to }) =>
          namespace === 'prod' &&
          from.some((it) => it.group.startsWith('gateway') && it.kind === 'HTTPRoute' && it.namespace === 'default') &&
          to.some((it) => it.group === '' && it.kind === 'Service' && it.name !== 'c'),
      );
      const documents = grants.map(({ namespace, ...spec }, i) => ({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'ReferenceGrant',
        metadata: { name: `g${i}`, namespace },
        spec,
      }));
      const text = http(`backendRefs: [${B}]`) + documents.map((it) => `---\n${JSON.stringify(it)}\n`).join('');
      expect(firstRoute(text).route !== undefined).toBe(permitted);
    }),
  );
});

test('a grant that is wrong in itself refuses the configuration, and takes nothing away', () => {
  const text = http(`backendRefs: [${B}]`) + httpGrant.replace('kind: Service', 'kind: 1');
  const { problems, warnings } = compileText([{ name: 'mesh.yaml', text }]);
  expect(problems.map(({ path }) => path)).toEqual(['spec.to[0].kind']);
  expect(warnings).toEqual([]);
});
