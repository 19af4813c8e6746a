import { describe, expect, test } from 'vitest';
import { compileText } from '../../../src/controlplane/config.js';
import { httpRouteYaml, policyYaml, serviceYaml } from '../../support/mesh-yaml.js';

const of = (kind: string, name: string, spec: string, namespace = 'default'): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${spec} }
`;
const MTLS = of('MeshConfig', 'mesh', 'mtls: strict');
const to = (name: string, kind = 'Service'): string => `targetRefs: [{ kind: ${kind}, name: ${name} }]`;
const from = (...principals: string[]): string => `rules: [{ from: [{ principals: ${JSON.stringify(principals)} }] }]`;
const rules = (rule: string): string => `${to('reviews')}, rules: [${rule}]`;
const KEYS = '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}';

/** Field and message of each warning. */
function warned(text: string): string[] {
  const services = serviceYaml('reviews') + serviceYaml('orders');
  const { problems, warnings } = compileText([{ name: 'mesh.yaml', text: services + text }]);
  expect(problems).toEqual([]);
  return warnings.map(({ resource, path, message }) => `${resource} ${path}: ${message}`);
}

describe('callers of AuthorizationPolicies that no Service is', () => {
  const here = (...principals: string[]): string[] =>
    warned(MTLS + of('AuthorizationPolicy', 'p', from(...principals)));
  const at = 'AuthorizationPolicy/p spec.rules[0].from[0].principals[0]:';

  test('are told of, with the Service that was meant', () => {
    expect(here('ordes')).toEqual([`${at} there is no Service "ordes"; did you mean "orders"?`]);
    expect(here('cluster.local/ns/default/sa/ordes')).toEqual([
      `${at} there is no Service "ordes"; did you mean "orders"?`,
    ]);
    expect(here('spiffe://cluster.local/ns/default/sa/ordes')).toHaveLength(1);
  });
  test('or how a caller is written that is no Service', () => {
    expect(here('nightly-job')).toEqual([
      `${at} there is no Service "nightly-job"; a caller that is no Service is written out: "cluster.local/ns/default/sa/nightly-job"`,
    ]);
    expect(here('cluster.local/ns/default/sa/nightly-job')).toEqual([]);
  });
  test('but not those that are, nor those of another trust domain, nor wildcards', () => {
    expect(here('orders', 'cluster.local/ns/default/sa/reviews')).toEqual([]);
    expect(here('example.org/ns/default/sa/ordes', '*', 'orde*', '*/sa/ordes', 'spiffe://cluster.local/ns/*')).toEqual(
      [],
    );
  });
  test('are looked for in the namespace of the policy', () => {
    const mesh =
      MTLS +
      of('AuthorizationPolicy', 'p', from('orders'), 'shop') +
      serviceYaml('order', undefined, 'namespace: shop');
    expect(warned(mesh)).toEqual([
      'AuthorizationPolicy/shop/p spec.rules[0].from[0].principals[0]: there is no Service "orders" in namespace "shop"; did you mean "order"?',
    ]);
  });
  test('are told of in conditions and negations, too', () => {
    const rule = '{ from: [{ notPrincipals: [ordes] }], when: [{ key: source.principal, notValues: [review] }] }';
    expect(warned(MTLS + of('AuthorizationPolicy', 'p', rules(rule))).map((line) => line.split(': ')[0])).toEqual([
      'AuthorizationPolicy/p spec.rules[0].from[0].notPrincipals[0]',
      'AuthorizationPolicy/p spec.rules[0].when[0].notValues[0]',
    ]);
  });
});

describe('rules by certificates', () => {
  const never = (whose: string): string[] => [
    `AuthorizationPolicy/p spec.rules[0]: goes by the certificates of callers, and nobody shows one to the servers of ${whose}, so that it never matches: give them "mtls: strict" or "permissive"`,
  ];
  test.each([
    'from: [{ principals: [orders] }]',
    'from: [{ namespaces: [default] }, { principals: [orders] }]',
    'when: [{ key: source.principal, values: [orders] }]',
    'when: [{ key: source.namespace, values: [default] }]',
  ])('never match where mTLS is off: %s', (rule) => {
    const policy = of('AuthorizationPolicy', 'p', rules(`{ ${rule} }`));
    expect(warned(policy)).toEqual(never('Service "reviews"'));
    expect(warned(policy + of('AuthenticationPolicy', 'a', `${to('reviews')}, mtls: { mode: permissive }`))).toEqual(
      [],
    );
  });
  test.each(['from: [{ notPrincipals: [orders] }]', 'from: [{ principals: [orders] }, { ipBlocks: [10.0.0.0/8] }]'])(
    'may match all the same by what else they say: %s',
    (rule) => expect(warned(of('AuthorizationPolicy', 'p', rules(`{ ${rule} }`)))).toEqual([]),
  );
  test('for the whole mesh match as soon as one Service has mTLS', () => {
    const policy = of('AuthorizationPolicy', 'p', from('orders'));
    expect(warned(policy)).toEqual(never('any Service'));
    expect(warned(policy + of('AuthenticationPolicy', 'a', `${to('orders')}, mtls: { mode: strict }`))).toEqual([]);
  });
  test('for a route go by the Services that it is of', () => {
    const route = httpRouteYaml('r', 'name: reviews', '[{ backendRefs: [{ name: reviews }] }]');
    const policy = of('AuthorizationPolicy', 'p', `${to('r', 'HTTPRoute')}, ${from('orders')}`);
    expect(warned(route + policy)).toEqual(never('Service "reviews"'));
  });
  test('match where callers are told to use mTLS, whatever the servers are told', () => {
    const policy = of('AuthorizationPolicy', 'p', rules('{ from: [{ principals: [orders] }] }'));
    const tls = policyYaml('t', 'reviews', 'tls: { mode: mutual }');
    expect(warned(policy + tls).filter((line) => line.startsWith('AuthorizationPolicy'))).toEqual([]);
  });
});

describe('rules by tokens', () => {
  test.each(['from: [{ requestPrincipals: ["*"] }]', 'when: [{ key: "request.auth.claims[role]", values: [admin] }]'])(
    'never match where none is verified: %s',
    (rule) => {
      const policy = of('AuthorizationPolicy', 'p', rules(`{ ${rule} }`));
      expect(warned(policy)).toEqual([
        'AuthorizationPolicy/p spec.rules[0]: goes by tokens, and none is verified by the servers of Service "reviews", so that it never matches: write an AuthenticationPolicy with jwt',
      ]);
      expect(
        warned(policy + of('AuthenticationPolicy', 'a', `jwt: [{ issuer: "https://id", jwks: '${KEYS}' }]`)),
      ).toEqual([]);
    },
  );
});

test('a policy for a name outside of the mesh is told to have no effect', () => {
  const outside = serviceYaml('payments', 'type: ExternalName, externalName: pay.example');
  const policy = of('AuthorizationPolicy', 'p', `${to('payments')}, rules: [{}]`);
  expect(warned(outside + policy)).toEqual([
    'AuthorizationPolicy/p spec.targetRefs[0]: has no effect: Service "payments" is outside of the mesh, and its servers ask nobody',
  ]);
});

describe('a file of keys', () => {
  const policy = of('AuthenticationPolicy', 'a', 'jwt: [{ issuer: "https://id", jwksFile: keys.json }]');
  const told = (keyFileFault?: (path: string) => string | undefined): string[] =>
    compileText([{ name: 'mesh.yaml', text: policy }], keyFileFault && { keyFileFault }).warnings.map(
      ({ path, message }) => `${path}: ${message}`,
    );
  test('that has none here is told of, if somebody looks', () => {
    expect(told()).toEqual([]);
    expect(told(() => undefined)).toEqual([]);
    expect(told((path) => `${path} is gone`)).toEqual([
      'spec.jwt[0].jwksFile: has no keys, read from this folder, and servers refuse all tokens without them: keys.json is gone',
    ]);
  });
});
