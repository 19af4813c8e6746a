import { describe, expect, test } from 'vitest';
import type { RbacFilter, RouteAuthorization } from '../../../src/core/model/authorization.js';
import type { Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { Authorizer } from '../../../src/identity/authz/authorizer.js';
import { authzRequest, peer } from '../../identity/authz/requests.js';
import { decoders } from '../../support/decoders.js';
import { compileYaml, httpRouteYaml, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

const policy = (name: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec: { ${spec} }
`;
const meshConfig = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { ${spec} }
`;
const TO_A = 'targetRefs: [{ kind: Service, name: a }]';
const NAME = 'inmesh.dev/inbound/a';

const listenerOf = (yaml: string): Resource | undefined =>
  compileYaml(serviceYaml('a') + yaml).resources[LISTENER].get(NAME);

/** The routes of servers of `a`; undefined: they are asked nothing. */
function routesOf(yaml: string): readonly Route[] | undefined {
  const resource = listenerOf(yaml);
  if (resource === undefined) return undefined;
  const found = decoders[LISTENER](JSON.parse(JSON.stringify(resource)), NAME);
  if (found.kind !== 'server') throw new Error('no server');
  const source = found.listener.defaultFilterChain?.routes;
  if (source?.kind !== 'inline') throw new Error('no routes');
  return source.config.virtualHosts[0]?.routes;
}
const authorizationOf = (yaml: string): RouteAuthorization | undefined => routesOf(yaml)?.at(-1)?.authorization;

const at = Date.parse('2026-11-22T12:00:00Z');
const decides = (filters: readonly RbacFilter[]) => {
  const authorizer = new Authorizer(filters, { wallTime: () => at }, () => {});
  return (given: Parameters<typeof authzRequest>[0]): boolean => authorizer.decide(authzRequest(given)).allowed;
};
/** Whether servers of `a` serve a request under these policies. */
const allows = (yaml: string, given: Parameters<typeof authzRequest>[0] = {}): boolean =>
  decides(authorizationOf(yaml)?.filters ?? [])(given);

const by = (name: string, namespace = 'default') => ({
  peerIdentity: peer({ uriSans: [`spiffe://cluster.local/ns/${namespace}/sa/${name}`] }),
});

describe('without policies', () => {
  test('servers are asked nothing', () => {
    expect(listenerOf('')).toBeUndefined();
    expect(listenerOf(meshConfig('authorization: { default: allow }'))).toBeUndefined();
  });
  test('a mesh that denies by default serves nobody', () => {
    expect(allows(meshConfig('authorization: { default: deny }'))).toBe(false);
  });
  test('a mesh that audits by default serves everybody, and would nobody', () => {
    const [filter] = authorizationOf(meshConfig('authorization: { default: audit, audit: all }'))?.filters ?? [];
    expect(filter).toMatchObject({
      shadow: { action: 'ALLOW', policies: [], audit: { condition: 'ON_DENY_AND_ALLOW', loggers: ['logger'] } },
    });
    expect(filter?.rules).toBeUndefined();
  });
});

describe('policies', () => {
  const GET = policy('get', `${TO_A}, rules: [{ to: [{ methods: [GET] }] }]`);
  const NO_ADMIN = policy('no', `${TO_A}, action: DENY, rules: [{ to: [{ paths: [/admin, "/admin/*"] }] }]`);
  test('that allow let in what any of them allows, and nothing else', () => {
    const post = policy('post', `${TO_A}, rules: [{ from: [{ principals: [orders] }], to: [{ methods: [POST] }] }]`);
    expect([allows(GET), allows(GET, { method: 'POST' })]).toEqual([true, false]);
    expect(allows(GET + post, { method: 'POST', ...by('orders') })).toBe(true);
    expect(allows(GET + post, { method: 'PUT', ...by('orders') })).toBe(false);
  });
  test('that deny win, whatever allows', () => {
    expect(allows(GET + NO_ADMIN, { path: '/admin/x' })).toBe(false);
    expect(allows(GET + NO_ADMIN, { path: '/public' })).toBe(true);
  });
  test('that deny take case and a slash at the end for the same; those that allow do not', () => {
    for (const path of ['/ADMIN', '/admin/', '/Admin/x'])
      expect([path, allows(NO_ADMIN, { path })]).toEqual([path, false]);
    const only = policy('only', `${TO_A}, rules: [{ to: [{ paths: [/a] }] }]`);
    expect(['/a', '/A', '/a/'].map((path) => allows(only, { path }))).toEqual([true, false, false]);
    const but = policy('but', `${TO_A}, rules: [{ to: [{ notPaths: [/a] }] }]`);
    expect(['/b', '/a', '/A', '/a/'].map((path) => allows(but, { path }))).toEqual([true, false, false, false]);
  });
  test('compare the host without case, however it is named; those that deny take its other forms along', () => {
    for (const key of ['request.headers[host]', 'request.headers[Host]', 'request.headers[:authority]']) {
      const no = policy('no', `${TO_A}, action: DENY, rules: [{ when: [{ key: "${key}", values: [admin.example] }] }]`);
      expect(['Admin.EXAMPLE', 'admin.example.', 'admin.example:80'].map((host) => allows(no, { host }))).toEqual([
        false,
        false,
        false,
      ]);
      const only = policy('only', `${TO_A}, rules: [{ when: [{ key: "${key}", values: [a.example] }] }]`);
      expect(['A.example', 'b.example', 'a.example:80'].map((host) => allows(only, { host }))).toEqual([
        true,
        false,
        false,
      ]);
      const but = policy('but', `${TO_A}, rules: [{ when: [{ key: "${key}", notValues: [a.example] }] }]`);
      expect(['b.example', 'A.example', 'a.example.'].map((host) => allows(but, { host }))).toEqual([
        true,
        false,
        false,
      ]);
    }
  });
  test('without rules allow nothing; with an empty one they allow everything', () => {
    expect(allows(policy('none', TO_A))).toBe(false);
    expect(allows(policy('all', `${TO_A}, rules: [{}]`))).toBe(true);
  });
  test('without a target are for every service, beside those that have one', () => {
    const everywhere = policy('everywhere', 'action: DENY, rules: [{ to: [{ methods: [DELETE] }] }]');
    expect([allows(everywhere + GET, { method: 'DELETE' }), allows(everywhere + GET)]).toEqual([false, true]);
  });
  test('that are a dry run change nothing, and are decided beside those that count', () => {
    const dry = NO_ADMIN.replace('action:', 'dryRun: true, action:');
    expect(allows(dry, { path: '/admin' })).toBe(true);
    expect(authorizationOf(dry)?.filters).toMatchObject([{ shadow: { action: 'DENY' } }]);
    const tried = policy('tried', `${TO_A}, dryRun: true, rules: [{ to: [{ methods: [POST] }] }]`);
    const [filter] = authorizationOf(GET + tried)?.filters ?? [];
    expect([filter?.rules, filter?.shadow].map((rules) => rules?.policies.map(({ name }) => name))).toEqual([
      ['default/get/rules[0]'],
      ['default/get/rules[0]', 'default/tried/rules[0]'],
    ]);
  });
  test('that audit only tell', () => {
    const audit = policy('audit', `${TO_A}, action: AUDIT, rules: [{ to: [{ paths: [/admin] }] }]`);
    expect(allows(audit, { path: '/admin' })).toBe(true);
    expect(authorizationOf(audit)?.filters).toMatchObject([{ rules: { action: 'LOG' } }]);
  });
  test('of a route are for what it matches, beside those of its service', () => {
    const route = httpRouteYaml(
      'r',
      'name: a',
      '[{ name: pay, matches: [{ path: { type: Exact, value: /pay } }], backendRefs: [{ name: a }] }]',
    );
    const pay = policy(
      'pay',
      'targetRefs: [{ kind: HTTPRoute, name: r, sectionName: pay }], action: DENY, rules: [{ to: [{ methods: [GET] }] }]',
    );
    const [own, rest] = routesOf(route + GET + pay) ?? [];
    expect(own?.authorization?.filters.map(({ name }) => name)).toEqual([
      'inmesh.dev/authorization/deny',
      'inmesh.dev/authorization/allow',
    ]);
    expect(decides(own?.authorization?.filters ?? [])({})).toBe(false);
    expect(decides(rest?.authorization?.filters ?? [])({})).toBe(true);
    // Which route it is goes by the path, so that it has to be certain everywhere.
    expect([own, rest].map((one) => one?.authorization?.judgesPath)).toEqual([true, true]);
  });
});

describe('a rule', () => {
  test.each<[string, Parameters<typeof authzRequest>[0], boolean]>([
    ['from: [{ principals: [orders] }]', by('orders'), true],
    ['from: [{ principals: [orders] }]', by('other'), false],
    ['from: [{ principals: [orders] }]', by('orders', 'shop'), false],
    ['from: [{ principals: [cluster.local/ns/shop/sa/orders] }]', by('orders', 'shop'), true],
    ['from: [{ principals: ["cluster.local/ns/shop/*"] }]', by('any', 'shop'), true],
    ['from: [{ principals: ["*/sa/orders"] }]', by('orders', 'x'), true],
    ['from: [{ principals: ["*"] }]', by('any'), true],
    ['from: [{ principals: ["*"] }]', { secure: true }, false],
    ['from: [{ notPrincipals: [orders] }]', by('other'), true],
    ['from: [{ notPrincipals: [orders] }]', by('orders'), false],
    ['from: [{ namespaces: [shop] }]', by('any', 'shop'), true],
    ['from: [{ namespaces: [shop] }]', by('any', 'shopping'), false],
    ['from: [{ namespaces: ["shop*"] }]', by('any', 'shopping'), true],
    ['from: [{ namespaces: ["*ping"] }]', by('any', 'shopping'), true],
    ['from: [{ ipBlocks: [10.0.0.0/8] }]', { peerAddress: '10.9.9.9' }, true],
    ['from: [{ ipBlocks: [10.0.0.0/8], notIpBlocks: [10.9.0.0/16] }]', { peerAddress: '10.9.9.9' }, false],
    ['from: [{ remoteIpBlocks: ["2001:db8::1"] }]', { clientAddress: '2001:db8::1' }, true],
    ['from: [{ requestPrincipals: ["https://i/*"] }]', { claims: { iss: 'https://i', sub: 'u' } }, true],
    ['to: [{ hosts: [a.example] }]', { host: 'A.example:8080' }, true],
    ['to: [{ hosts: [a.example] }]', { host: 'a.example.evil' }, false],
    ['to: [{ hosts: ["*.example"] }]', { host: 'x.EXAMPLE:80' }, true],
    ['to: [{ hosts: ["*.example"] }]', { host: 'example.evil' }, false],
    ['to: [{ hosts: ["a.example:80"] }]', { host: 'a.example:81' }, false],
    ['to: [{ ports: [8080] }]', { localPort: 8080 }, true],
    ['to: [{ notPorts: [8080] }]', { localPort: 8080 }, false],
    ['to: [{ methods: [GET], paths: ["*.html"] }]', { path: '/x.html' }, true],
    ['when: [{ key: "request.headers[X-User]", values: [ann, "b*"] }]', { headers: { 'x-user': 'bob' } }, true],
    ['when: [{ key: "request.headers[x-user]", notValues: [ann] }]', {}, true],
    ['when: [{ key: "request.auth.claims[org][id]", values: ["7"] }]', { claims: { org: { id: 7 } } }, true],
    ['when: [{ key: request.auth.audiences, values: [me] }]', { claims: { aud: ['you', 'me'] } }, true],
    ['when: [{ key: source.namespace, values: [shop] }]', by('x', 'shop'), true],
    ['when: [{ key: source.ip, notValues: [10.0.0.0/8] }]', {}, false],
    ['when: [{ key: destination.port, values: ["8080"] }]', { localPort: 8080 }, true],
    ['when: [{ key: connection.sni, values: ["*.example"] }]', { serverName: 'a.example' }, true],
    // A Sunday.
    ['time: [{ zone: Europe/Vienna, days: [sun], from: "13:00", to: "13:01" }]', {}, true],
    ['time: [{ zone: Europe/Vienna, days: [mon, sat] }]', {}, false],
    ['time: [{ dates: [2026-11-20/2026-11-22] }]', {}, true],
  ])('{ %s } with %j: %s', (rule, given, expected) => {
    expect(allows(policy('p', `${TO_A}, rules: [{ ${rule} }]`), given)).toBe(expected);
  });

  test.each([
    ['from: [{ principals: [orders] }], to: [{ paths: [/a] }]', 'envoy.extensions.filters.http.rbac.v3.RBAC'],
    ['time: [{ days: [mon] }]', 'xds.type.v3.TypedStruct'],
    ['when: [{ key: request.auth.principal, values: [a] }]', 'xds.type.v3.TypedStruct'],
  ])('{ %s } is a filter that others must know or refuse: %s', (rule, type) => {
    const text = JSON.stringify(listenerOf(policy('p', `${TO_A}, rules: [{ ${rule} }]`)));
    const [filter] = JSON.parse(text).default_filter_chain.filters[0].typed_config.http_filters;
    expect(filter.typed_config['@type']).toBe(`type.googleapis.com/${type}`);
    expect(filter.is_optional).toBeUndefined();
  });

  test.each([
    ['to: [{ paths: ["/a//b"] }]', 'write "/a/b"'],
    ['to: [{ paths: ["/a%2fb"] }]', 'is no canonical path'],
    ['to: [{ paths: ["/a*b"] }]', 'must have one "*" at most'],
    ['to: [{}]', 'says nothing of a request'],
    ['from: [{ ipBlocks: [10.0.0.0/33] }]', 'must be an IP address or a CIDR'],
    ['from: [{ principals: [Orders] }]', 'write "orders"'],
    ['from: [{ notPrincipals: [my_orders] }]', 'is neither the name of a Service nor a SPIFFE ID'],
    ['when: [{ key: source.principal, values: [Orders] }]', 'write "orders"'],
    ['when: [{ key: request.header, values: [a] }]', 'is not known'],
    ['when: [{ key: source.ip }]', 'must have values or notValues'],
    ['time: [{ zone: Mars/Base }]', 'must be an IANA time zone'],
    ['time: [{ dates: [2026-02-29] }]', 'the calendar has no'],
    ['time: [{ from: "25:00" }]', 'must be a time of day'],
  ])('{ %s } is a mistake: %s', (rule, message) => {
    const problems = problemsOf(serviceYaml('a') + policy('p', `${TO_A}, rules: [{ ${rule} }]`));
    expect(problems.join('\n')).toContain(message);
  });
});
