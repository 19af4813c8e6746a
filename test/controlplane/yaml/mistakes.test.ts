import { describe, expect, test } from 'vitest';
import { compileText } from '../../../src/controlplane/config.js';
import { KINDS as ALL_KINDS } from '../../../src/controlplane/yaml/kinds.js';
import {
  grantYaml,
  grpcRouteYaml,
  httpRouteYaml,
  policyYaml,
  problemsOf,
  serviceYaml,
} from '../../support/mesh-yaml.js';

/** One mistake in one place: the whole message, as people read it, without the place in the file. */
const said = (text: string): string[] => problemsOf(text).map((line) => line.replace(/^mesh\.yaml(:\d+:\d+)? ?/, ''));

const A = serviceYaml('a');
const rule = (rest: string): string => A + httpRouteYaml('r', 'name: a', `[{ ${rest} }]`);
const filter = (rest: string, match = ''): string =>
  rule(`${match} backendRefs: [{ name: a }], filters: [{ ${rest} }]`);
const slice = (label: string): string => `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: s, labels: { ${label} } }
addressType: IPv4
ports: [{ port: 80 }]
endpoints: [{ addresses: ["::1"] }]
`;
const grant = (from: string, to: string): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: g }
spec: { from: ${from}, to: ${to} }
`;
const FROM = '[{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: x }]';
const TO = '[{ group: "", kind: Service }]';
const KINDS = ALL_KINDS.join(', ');
const SHAPE = 'host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443';
const DURATION = 'must be a duration such as 250ms, 10s, 1m30s or 0s (GEP-2257)';

describe('a mistake is told with its place, what was expected, and the nearest name', () => {
  test('the place is file, line and column of the field', () => {
    const text = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: reviews
spec:
  parentRefs:
    - { kind: Service, group: "", name: reviews }
  rules:
    - backendRefs:
        - name: reviews
          wieght: 5
${serviceYaml('reviews')}`;
    expect(problemsOf(text)).toEqual([
      'mesh.yaml:12:11 HTTPRoute/reviews spec.rules[0].backendRefs[0].wieght: unknown field; did you mean "weight"?',
    ]);
    const [problem] = compileText([{ name: 'mesh.yaml', text }]).problems;
    expect(problem).toMatchObject({
      file: 'mesh.yaml',
      line: 12,
      column: 11,
      resource: 'HTTPRoute/reviews',
      nearest: 'weight',
    });
    expect(problem?.expected).toContain('weight');
  });

  test.each<[what: string, text: string, ...messages: string[]]>([
    // Resources
    [
      'no resource at all',
      'just text',
      ': must be a resource with apiVersion, kind, metadata and spec, got "just text"',
    ],
    ['no kind', 'metadata: { name: a }', `resource/a kind: is missing; supported: ${KINDS}`],
    [
      'a kind that is no text',
      'kind: [Service]',
      `resource kind: must be a string, got ["Service"]; supported: ${KINDS}`,
    ],
    ['an unknown kind', 'kind: HTTPRout', 'HTTPRout kind: unknown kind "HTTPRout"; did you mean "HTTPRoute"?'],
    ['a kind from elsewhere', 'kind: Deployment', `Deployment kind: unknown kind "Deployment"; supported: ${KINDS}`],
    [
      "a kind of Istio's",
      'kind: VirtualService\nmetadata: { name: a }',
      "VirtualService/a kind: is Istio's: here its http routes with their timeouts, retries and mirrors are an HTTPRoute, its fault a FaultPolicy (docs/from-envoy-and-istio.md)",
    ],
    [
      "a kind of Envoy Gateway's, which resembles one of the Gateway API's",
      'kind: BackendTrafficPolicy\nmetadata: { name: a }',
      "BackendTrafficPolicy/a kind: is Envoy Gateway's: here its rateLimit is a RateLimitPolicy, its faultInjection a FaultPolicy, its retry and timeout are an HTTPRoute's, the rest is a TrafficPolicy (docs/from-envoy-and-istio.md)",
    ],
    [
      'a kind of others for which there is nothing yet',
      'kind: Sidecar\nmetadata: { name: a }',
      "Sidecar/a kind: is Istio's: this version of inmesh has nothing for it (docs/from-envoy-and-istio.md)",
    ],
    [
      'a kind of a later version',
      'kind: Gateway',
      `Gateway kind: kind "Gateway" is not supported by this version of inmesh; supported: ${KINDS}`,
    ],
    [
      'a wrong apiVersion',
      'kind: Service\napiVersion: v2\nmetadata: { name: a }',
      'Service/a apiVersion: must be "v1", got "v2"; did you mean "v1"?',
    ],
    ['no metadata', 'kind: Service\napiVersion: v1', 'Service metadata: is missing'],
    ['no name', 'kind: Service\napiVersion: v1\nmetadata: {}', 'Service metadata.name: is missing'],
    [
      'a bad name',
      serviceYaml('A_b'),
      'Service/A_b metadata.name: must be a name of lower-case letters, digits, "-" and ".", got "A_b"',
    ],
    [
      'a resource there twice',
      A + A,
      'Service/a metadata.name: is there twice; the first is at mesh.yaml:3: rename or remove one',
    ],
    [
      'a second MeshConfig',
      ['x', 'y']
        .map((n) => `---\napiVersion: inmesh.dev/v1alpha1\nkind: MeshConfig\nmetadata: { name: ${n} }\n`)
        .join(''),
      'MeshConfig/y metadata.name: there is a MeshConfig already, "x": keep one',
    ],
    [
      'a wrong choice',
      '---\napiVersion: inmesh.dev/v1alpha1\nkind: MeshConfig\nmetadata: { name: m }\nspec: { unknownHosts: denny }',
      'MeshConfig/m spec.unknownHosts: must be one of passthrough, deny, got "denny"; did you mean "deny"?',
    ],
    // Services
    [
      'an endpoint without port',
      serviceYaml('a', 'endpoints: [10.0.0.1]'),
      `Service/a spec.endpoints[0]: must have a port, as the Service has no ports: ${SHAPE}, got "10.0.0.1"`,
    ],
    [
      'an endpoint that is no address',
      serviceYaml('a', 'endpoints: ["1.2.3:80"]'),
      `Service/a spec.endpoints[0]: must be ${SHAPE}, got "1.2.3:80"`,
    ],
    [
      'an endpoint of the wrong type',
      serviceYaml('a', 'endpoints: [9001]'),
      'Service/a spec.endpoints[0]: must be a string or a mapping of fields, got 9001',
    ],
    [
      'an endpoint without address',
      serviceYaml('a', 'endpoints: [{ weight: 1 }]'),
      'Service/a spec.endpoints[0].address: is missing',
    ],
    [
      'an endpoint there twice',
      serviceYaml('a', 'endpoints: ["10.0.0.1:1", "10.0.0.1:1"]'),
      'Service/a spec.endpoints[1]: address "10.0.0.1:1" is there twice: give one endpoint a weight instead',
    ],
    [
      'a weight of 0',
      serviceYaml('a', 'endpoints: [{ address: "10.0.0.1:1", weight: 0 }]'),
      'Service/a spec.endpoints[0].weight: must be a whole number from 1 to 65535, got 0',
    ],
    [
      'a port name that is not there',
      serviceYaml('a', 'ports: [{ name: x, port: 1 }], endpoints: [{ address: 10.0.0.1, ports: { y: 5 } }]'),
      'Service/a spec.endpoints[0].ports.y: the Service has no port named "y"; it has: x',
    ],
    [
      'endpoints that are no list',
      serviceYaml('a', 'endpoints: 127.0.0.1:1'),
      'Service/a spec.endpoints: must be a list, got "127.0.0.1:1"',
    ],
    [
      'a DNS name without port',
      serviceYaml('a', 'dns: example.com'),
      `Service/a spec.dns: must be ${SHAPE}, got "example.com"`,
    ],
    [
      'two sources of endpoints',
      serviceYaml('a', 'dns: "example.com:1", endpoints: ["10.0.0.1:1"]'),
      'Service/a spec.endpoints: cannot be combined with dns: keep one of them',
    ],
    [
      'an ExternalName without name',
      serviceYaml('a', 'type: ExternalName'),
      'Service/a spec.externalName: is missing: a Service of type ExternalName needs it',
    ],
    [
      'an externalName without its type',
      serviceYaml('a', 'externalName: example.com'),
      'Service/a spec.externalName: needs "type: ExternalName" beside it',
    ],
    [
      'a port out of range',
      serviceYaml('a', 'ports: [{ port: 65536 }]'),
      'Service/a spec.ports[0].port: must be a whole number from 1 to 65535, got 65536',
    ],
    [
      'a port there twice',
      serviceYaml('a', 'ports: [{ name: x, port: 1 }, { name: y, port: 1 }]'),
      'Service/a spec.ports[1].port: port 1 is there twice',
    ],
    [
      'a port name there twice',
      serviceYaml('a', 'ports: [{ name: x, port: 1 }, { name: x, port: 2 }]'),
      'Service/a spec.ports[1].name: name "x" is there twice',
    ],
    [
      'several ports without names',
      serviceYaml('a', 'ports: [{ name: x, port: 1 }, { port: 2 }]'),
      'Service/a spec.ports[1].name: is missing: each of several ports needs a name',
    ],
    [
      'TLS to bare addresses',
      serviceYaml('a', 'ports: [{ port: 1, appProtocol: https }], endpoints: [10.0.0.1]'),
      'Service/a spec.ports[0].appProtocol: "https" needs a DNS name whose certificate can be verified: name it with "dns: host:port" or "type: ExternalName"',
    ],
    [
      'a DNS name that is none',
      serviceYaml('a', 'dns: "10.0.0.1:80"'),
      'Service/a spec.dns: is an IP address: list it under endpoints, got "10.0.0.1:80"',
    ],
    [
      'a slice of addresses that are none',
      slice('kubernetes.io/service-name: a') + A,
      'EndpointSlice/s endpoints[0].addresses[0]: must be an IPv4 address (addressType IPv4), got "::1"',
    ],
    [
      'a slice of no Service',
      slice('kubernetes.io/service-name: b').replace('::1', '10.0.0.1') + A,
      'EndpointSlice/s metadata.labels["kubernetes.io/service-name"]: there is no Service "b"; did you mean "a"?',
    ],
    [
      'a slice for no port of its Service',
      slice('kubernetes.io/service-name: a').replace('::1', '10.0.0.1') +
        serviceYaml('a', 'ports: [{ name: web, port: 80 }]'),
      'EndpointSlice/s ports: none is for a port of Service "a", which are joined by name: "web"',
    ],
    [
      'a slice that names no Service',
      slice('app: a').replace('::1', '10.0.0.1') + A,
      'EndpointSlice/s metadata.labels["kubernetes.io/service-name"]: is missing: it names the Service of the endpoints',
    ],
    // References
    [
      'a parent that is not there',
      httpRouteYaml('r', 'name: reviws', '[{}]') + serviceYaml('reviews'),
      'HTTPRoute/r spec.parentRefs[0].name: there is no Service "reviws"; did you mean "reviews"?',
    ],
    [
      'a parent port that is not there',
      A + httpRouteYaml('r', 'name: a, port: 81', '[{}]'),
      'HTTPRoute/r spec.parentRefs[0].port: Service "a" has no port 81; its ports: 80',
    ],
    [
      'a parent section that is not there',
      A + httpRouteYaml('r', 'name: a, sectionName: web', '[{}]'),
      'HTTPRoute/r spec.parentRefs[0].sectionName: Service "a" has no port named "web"; its names: none',
    ],
    [
      'a Gateway as parent',
      A + httpRouteYaml('r', 'name: a', '[{}]').replace('kind: Service, group: ""', 'kind: Gateway'),
      'HTTPRoute/r spec.parentRefs[0].kind: "Gateway" is not supported by this version of inmesh: attach the route to a Service (kind: Service, group: "")',
    ],
    [
      'a parent without kind',
      A + httpRouteYaml('r', 'name: a', '[{}]').replace('kind: Service, group: "", ', ''),
      'HTTPRoute/r spec.parentRefs[0].kind: is missing, which means Gateway: attach the route to a Service (kind: Service, group: "")',
    ],
    [
      'a consumer route',
      serviceYaml('a', 'endpoints: []', 'namespace: x') + httpRouteYaml('r', 'name: a, namespace: x', '[{}]'),
      'HTTPRoute/r spec.parentRefs[0].namespace: a route for callers in one namespace only (consumer route, GEP-1426) is not supported by this version of inmesh: put the route into namespace "x"',
    ],
    [
      'a backend that is not there',
      rule('backendRefs: [{ name: b }]'),
      'HTTPRoute/r spec.rules[0].backendRefs[0].name: there is no Service "b"; did you mean "a"?',
    ],
    [
      'a backend in another namespace',
      rule('backendRefs: [{ name: a, namespace: prod }]') + grantYaml('g', 'prod', 'HTTPRoute', 'default'),
      'HTTPRoute/r spec.rules[0].backendRefs[0].name: there is no Service "a" in namespace "prod"; known: none',
    ],
    [
      'a backend in another namespace that is not there, though permitted for a mirror',
      rule(
        'backendRefs: [{ name: a }], filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, namespace: prod } } }]',
      ) + grantYaml('g', 'prod', 'HTTPRoute', 'default', 'a'),
      'HTTPRoute/r spec.rules[0].filters[0].requestMirror.backendRef.name: there is no Service "a" in namespace "prod"; known: none',
    ],
    [
      'a grant to nobody',
      grant('[]', '[{ group: "", kind: Service }]'),
      'ReferenceGrant/g spec.from: must have at least one entry, got a list of 0',
    ],
    [
      'a grant of nothing',
      grant(FROM, '[]'),
      'ReferenceGrant/g spec.to: must have at least one entry, got a list of 0',
    ],
    [
      'a grant without groups',
      grant('[{ kind: HTTPRoute, namespace: x }]', '[{ kind: Service }]'),
      'ReferenceGrant/g spec.from[0].group: is missing',
      'ReferenceGrant/g spec.to[0].group: is missing',
    ],
    [
      'a grant to a single route',
      grant('[{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: x, name: r }]', TO),
      'ReferenceGrant/g spec.from[0].name: unknown field; known: group, kind, namespace',
    ],
    [
      'a grant to every namespace',
      grant('[{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: "*" }]', TO),
      'ReferenceGrant/g spec.from[0].namespace: must be a name of up to 63 lower-case letters, digits and "-", got "*"',
    ],
    [
      'a grant of a Service called *',
      grant(FROM, '[{ group: "", kind: Service, name: "*" }]'),
      'ReferenceGrant/g spec.to[0].name: must be a name of lower-case letters, digits, "-" and ".", got "*"',
    ],
    [
      'a grant whose group has a version',
      grant('[{ group: gateway.networking.k8s.io/v1, kind: HTTPRoute, namespace: x }]', TO),
      'ReferenceGrant/g spec.from[0].group: must be a group of APIs, such as gateway.networking.k8s.io, or "" for that of Service, got "gateway.networking.k8s.io/v1"',
    ],
    [
      'a grant whose kind is none',
      grant('[{ group: "", kind: "HTTP Route", namespace: x }]', TO),
      'ReferenceGrant/g spec.from[0].kind: must be a kind, such as HTTPRoute, got "HTTP Route"',
    ],
    [
      'a grant of an old version',
      grant(FROM, TO).replace('/v1', '/v1alpha2'),
      'ReferenceGrant/g apiVersion: must be one of gateway.networking.k8s.io/v1, gateway.networking.k8s.io/v1beta1, got "gateway.networking.k8s.io/v1alpha2"; did you mean "gateway.networking.k8s.io/v1beta1"?',
    ],
    [
      'a backend port that is not there',
      rule('backendRefs: [{ name: a, port: 8080 }]'),
      'HTTPRoute/r spec.rules[0].backendRefs[0].port: Service "a" has no port 8080; its ports: 80',
    ],
    [
      'a backend of another kind',
      rule('backendRefs: [{ name: a, kind: ServiceImport, group: multicluster.x-k8s.io }]'),
      'HTTPRoute/r spec.rules[0].backendRefs[0].kind: "multicluster.x-k8s.io/ServiceImport" is not supported by this version of inmesh: use a Service',
    ],
    [
      'weights that are all 0',
      rule('backendRefs: [{ name: a, weight: 0 }]'),
      'HTTPRoute/r spec.rules[0].backendRefs: the weights are all 0, so that no backend gets any traffic: give one a weight of at least 1',
    ],
    [
      'both kinds of route on one port',
      A + httpRouteYaml('h', 'name: a', '[{}]') + grpcRouteYaml('g', 'name: a', '[{}]'),
      'HTTPRoute/h spec.parentRefs[0]: a GRPCRoute is attached to the same port, and then HTTPRoutes do not count (GEP-1426): put the rules into one kind of route',
    ],
    // Matches
    [
      'a route without rules',
      A + httpRouteYaml('r', 'name: a', '[]'),
      'HTTPRoute/r spec.rules: must have at least one entry, got a list of 0',
    ],
    [
      'a path that is relative',
      rule('matches: [{ path: { value: a } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must start with "/", got "a"',
    ],
    [
      'a path with //',
      rule('matches: [{ path: { type: Exact, value: /a//b } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must not contain "//", got "/a//b"',
    ],
    [
      'a path with ..',
      rule('matches: [{ path: { value: /a/.. } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must not contain "." or ".." as a segment, got "/a/.."',
    ],
    [
      'a path with a query',
      rule('matches: [{ path: { value: "/a?b" } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must not contain a query: use queryParams, got "/a?b"',
    ],
    [
      'a path with an encoded slash',
      rule('matches: [{ path: { value: "/a%2Fb" } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must not contain an encoded slash, got "/a%2Fb"',
    ],
    [
      'a path with a space',
      rule('matches: [{ path: { value: "/a b" } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must be percent-encoded where it is not a plain URL path, got "/a b"',
    ],
    [
      'an expression that is none',
      rule('matches: [{ path: { type: RegularExpression, value: "(" } }]'),
      'HTTPRoute/r spec.rules[0].matches[0].path.value: must be an RE2 regular expression: error parsing regexp: missing closing ): `(`',
    ],
    [
      'an expression that RE2 does not know',
      rule('matches: [{ headers: [{ type: RegularExpression, name: x, value: "(?=a)" }] }]'),
      'HTTPRoute/r spec.rules[0].matches[0].headers[0].value: must be an RE2 regular expression: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
    ],
    [
      'an expression that is too large',
      rule(
        'matches: [{ queryParams: [{ type: RegularExpression, name: x, value: "(a{1,500}){1,2}b{1,900}c{1,900}" }] }]',
      ),
      'HTTPRoute/r spec.rules[0].matches[0].queryParams[0].value: must be an RE2 regular expression: too large: 5603 instructions, at most 2000 are allowed',
    ],
    [
      'a wrong choice of method',
      rule('matches: [{ method: GETT }]'),
      'HTTPRoute/r spec.rules[0].matches[0].method: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, got "GETT"; did you mean "GET"?',
    ],
    [
      'a gRPC method that is empty',
      A + grpcRouteYaml('g', 'name: a', '[{ matches: [{ method: {} }] }]'),
      'GRPCRoute/g spec.rules[0].matches[0].method: must have a service, a method, or both',
    ],
    [
      'a gRPC service with a slash',
      A + grpcRouteYaml('g', 'name: a', '[{ matches: [{ method: { service: a/b } }] }]'),
      'GRPCRoute/g spec.rules[0].matches[0].method.service: must be the name of a gRPC service, got "a/b"',
    ],
    // Filters
    [
      'a filter without its field',
      filter('type: URLRewrite'),
      'HTTPRoute/r spec.rules[0].filters[0].urlRewrite: is missing: a filter of type URLRewrite needs it',
    ],
    [
      "a filter with another's field",
      filter('type: URLRewrite, urlRewrite: {}, requestRedirect: {}'),
      'HTTPRoute/r spec.rules[0].filters[0].requestRedirect: belongs to a filter of type RequestRedirect, not URLRewrite',
    ],
    [
      'a filter there twice',
      filter('type: URLRewrite, urlRewrite: {} }, { type: URLRewrite, urlRewrite: {}'),
      'HTTPRoute/r spec.rules[0].filters[1].type: URLRewrite is there twice: put both into one filter',
    ],
    [
      'a filter of a later version',
      filter('type: URLRewrite, urlRewrite: {}, externalAuth: {}'),
      'HTTPRoute/r spec.rules[0].filters[0].externalAuth: is not supported by this version of inmesh: remove it',
    ],
    [
      'a rewrite beside a redirect',
      rule('filters: [{ type: URLRewrite, urlRewrite: {} }, { type: RequestRedirect, requestRedirect: {} }]'),
      'HTTPRoute/r spec.rules[0].filters[1]: URLRewrite and RequestRedirect cannot be combined: remove one of them',
    ],
    [
      'a redirect beside backends',
      filter('type: RequestRedirect, requestRedirect: {}'),
      'HTTPRoute/r spec.rules[0].filters[0]: RequestRedirect cannot be combined with backendRefs: remove one of them',
    ],
    [
      'a prefix to replace where none is',
      filter(
        'type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /b } }',
        'matches: [{ path: { type: Exact, value: /a } }],',
      ),
      'HTTPRoute/r spec.rules[0].filters[0].urlRewrite.path.type: ReplacePrefixMatch needs exactly one match in the rule, with a path of type PathPrefix',
    ],
    [
      'a path modifier without its field',
      filter('type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath } }'),
      'HTTPRoute/r spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: is missing: type ReplaceFullPath needs it',
    ],
    [
      "a path modifier with the other's field",
      filter(
        'type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /, replacePrefixMatch: / } }',
      ),
      'HTTPRoute/r spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch: does not belong to type ReplaceFullPath: remove it',
    ],
    [
      'a path rewritten for one of several backends',
      rule('backendRefs: [{ name: a, filters: [{ type: URLRewrite, urlRewrite: {} }] }, { name: a }]'),
      'HTTPRoute/r spec.rules[0].backendRefs[0].filters[0].type: URLRewrite is supported for one of several backends only as a filter of the whole rule: move it there',
    ],
    [
      'a changed Host header',
      filter('type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: Host, value: x }] }'),
      'HTTPRoute/r spec.rules[0].filters[0].requestHeaderModifier.set[0].name: the Host header is changed with URLRewrite.hostname',
    ],
    [
      'a header value with a line break',
      filter('type: RequestHeaderModifier, requestHeaderModifier: { add: [{ name: x, value: "a\\nb" }] }'),
      'HTTPRoute/r spec.rules[0].filters[0].requestHeaderModifier.add[0].value: must be Latin-1 text without control characters',
    ],
    [
      'a header name that is none',
      filter('type: RequestHeaderModifier, requestHeaderModifier: { remove: ["a b"] }'),
      'HTTPRoute/r spec.rules[0].filters[0].requestHeaderModifier.remove[0]: must be the name of an HTTP header, got "a b"',
    ],
    [
      'a status that is no redirect',
      rule('filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 200 } }]'),
      'HTTPRoute/r spec.rules[0].filters[0].requestRedirect.statusCode: must be one of 301, 302, 303, 307, 308, got 200',
    ],
    // Timeouts and retries
    [
      'a duration without unit',
      rule('timeouts: { request: 10 }'),
      `HTTPRoute/r spec.rules[0].timeouts.request: ${DURATION}, got 10`,
    ],
    [
      'a duration with a fraction',
      rule('timeouts: { request: 1.5s }'),
      `HTTPRoute/r spec.rules[0].timeouts.request: ${DURATION}, got "1.5s"`,
    ],
    [
      'an attempt longer than the call',
      rule('timeouts: { request: 1s, backendRequest: 2s }'),
      'HTTPRoute/r spec.rules[0].timeouts.backendRequest: must be at most the 1s of timeouts.request, got 2s',
    ],
    [
      'a backoff of nothing',
      rule('retry: { backoff: 0s }'),
      'HTTPRoute/r spec.rules[0].retry.backoff: must be more than 0s',
    ],
    [
      'a retried status that is none',
      rule('retry: { codes: [200] }'),
      'HTTPRoute/r spec.rules[0].retry.codes[0]: must be a whole number from 400 to 599, got 200',
    ],
    [
      'a rule name there twice',
      A + httpRouteYaml('r', 'name: a', '[{ name: x }, { name: x }]'),
      'HTTPRoute/r spec.rules[1].name: name "x" is there twice',
    ],
    [
      'a list that is too long',
      A + httpRouteYaml('r', 'name: a', `[${'{},'.repeat(17)}]`),
      'HTTPRoute/r spec.rules: must have at most 16 entries, got a list of 17',
    ],
    // Policies
    [
      'a policy for nobody',
      A + policyYaml('p', 'b', ''),
      'TrafficPolicy/p spec.targetRefs[0].name: there is no Service "b"; did you mean "a"?',
    ],
    [
      'two policies for one Service',
      A + policyYaml('p', 'a', '') + policyYaml('q', 'a', ''),
      'TrafficPolicy/q spec.targetRefs[0].name: Service "a" already has TrafficPolicy "p": put both into one',
    ],
    [
      'a balancer that is none',
      A + policyYaml('p', 'a', 'loadBalancer: { simple: ROUND_ROBBIN }'),
      'TrafficPolicy/p spec.loadBalancer.simple: must be one of PEAK_EWMA, LEAST_REQUEST, ROUND_ROBIN, RANDOM, WEIGHTED_ROUND_ROBIN, PICK_FIRST, RING_HASH, MAGLEV, got "ROUND_ROBBIN"; did you mean "ROUND_ROBIN"?',
    ],
    [
      'a setting of another balancer',
      A + policyYaml('p', 'a', 'loadBalancer: { simple: RANDOM, decay: 5s }'),
      'TrafficPolicy/p spec.loadBalancer.decay: belongs to "simple: PEAK_EWMA" and means nothing with RANDOM: remove it',
    ],
    [
      'a budget that forgets too late',
      A + policyYaml('p', 'a', 'retryConstraint: { budget: { interval: 2m } }'),
      'TrafficPolicy/p spec.retryConstraint.budget.interval: must be from 1s to 1m, got 2m',
    ],
    [
      'a timeout of nothing',
      A + policyYaml('p', 'a', 'connectTimeout: 0s'),
      'TrafficPolicy/p spec.connectTimeout: must be from 1ms to 1h, got 0s',
    ],
    [
      'a limit that is no number',
      A + policyYaml('p', 'a', 'connectionPool: { maxRequests: .inf }'),
      'TrafficPolicy/p spec.connectionPool.maxRequests: must be a whole number from 0 to 4294967295, got Infinity',
    ],
    // YAML
    [
      'a sequence that is not closed',
      'a: [1, 2\n',
      ': is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a key there twice', 'kind: Service\nkind: Service\n', ': is not YAML: Map keys must be unique'],
  ])('%s', (_, text, ...messages) => {
    expect(said(text)).toEqual(messages);
  });
});

describe('all mistakes are told', () => {
  test('each in one line, whatever its names are made of', () => {
    const text = 'kind: "a\\nb"\nmetadata: { name: "c\\u001bd" }\n"e\\nf": 1';
    expect(problemsOf(text)[0]).toMatch(/^mesh\.yaml:1:7 a\?b\/c\?d kind: unknown kind "a\\nb"; /);
  });

  test('of all fields, all resources and all files, in the order of reading', () => {
    const files = [
      { name: 'b.yaml', text: `${serviceYaml('a', 'endpoint: 1, prots: 2, endpoints: [x:0]')}` },
      {
        name: 'a.yaml',
        text: `kind: Nonsense\n${httpRouteYaml('r', 'name: nobody', '[{ backendRefs: [{ name: a }, { name: c }] }]')}`,
      },
    ];
    const lines = compileText(files).problems.map(({ file, path }) => `${file} ${path}`);
    expect(lines).toEqual([
      'a.yaml kind',
      'a.yaml spec.parentRefs[0].name',
      'a.yaml spec.rules[0].backendRefs[1].name',
      'b.yaml spec.endpoint',
      'b.yaml spec.prots',
      // spec.endpoints[0] is checked once the fields are right; and "a", which is wrong in itself, is not missing in a.yaml.
    ]);
  });

  test('a file that is no YAML does not make what it may define missing', () => {
    const files = [
      { name: 'a.yaml', text: 'a: [' },
      { name: 'b.yaml', text: httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: a, wait: 1 }] }]') },
    ];
    expect(compileText(files).problems.map(({ file, path }) => `${file} ${path}`)).toEqual([
      'a.yaml ',
      'b.yaml spec.rules[0].backendRefs[0].wait',
    ]);
  });

  test('but not more than a reader can use', () => {
    const text = Array.from({ length: 3_000 }, () => '---\nkind: Nonsense').join('\n');
    expect(problemsOf(text)).toHaveLength(1_000);
  });
});
