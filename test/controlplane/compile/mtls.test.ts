import { describe, expect, test } from 'vitest';
import { compileText } from '../../../src/controlplane/config.js';
import { CLUSTER, LISTENER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { clusterOf, compileYaml, listenersOf, policyYaml, serviceYaml } from '../../support/mesh-yaml.js';

const ENDPOINTS = 'endpoints: ["127.0.0.1:9001"]';
const meshYaml = (spec: string): string => `
---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { ${spec} }
`;
const authYaml = (name: string, spec: string): string => `
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: ${name} }
spec: { ${spec} }
`;
const backendYaml = (name: string, target: string, validation: string): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ group: "", kind: Service, ${target} }], validation: { ${validation} } }
`;
const A = 'targetRefs: [{ name: a }]';
const TWO_PORTS = 'ports: [{ name: x, port: 80 }, { name: y, port: 81 }], endpoints: ["127.0.0.1"]';

/** What callers of a Service do: undefined for plaintext. */
const callers = (text: string, cluster = 'a.default:80') =>
  clusterOf(compileYaml(text), cluster).transport_socket?.typed_config;

/** The chains of the listener for a Service's servers, each as its name and what it matches; undefined: there is no listener. */
function chains(text: string, form = 'a'): string[] | undefined {
  const listener = compileYaml(text).resources[LISTENER].get(`inmesh.dev/inbound/${form}`) as
    | { filter_chains?: readonly Resource[]; default_filter_chain?: Resource }
    | undefined;
  if (listener === undefined) return undefined;
  const matching = (listener.filter_chains ?? []) as readonly {
    name: string;
    filter_chain_match: { transport_protocol: string };
    transport_socket?: unknown;
  }[];
  return [
    ...matching.map(
      ({ name, filter_chain_match: match, transport_socket: socket }) =>
        `${name}: ${match.transport_protocol}${socket === undefined ? '' : ' with a certificate'}`,
    ),
    ...(listener.default_filter_chain === undefined ? [] : ['any connection']),
  ];
}

/** Each as its path and its message. */
const problems = (text: string): string[] =>
  compileText([{ name: 'mesh.yaml', text }]).problems.map(({ path, message }) => `${path}: ${message}`);
const warnings = (text: string): string[] =>
  compileYaml(text).warnings.map(({ path, message }) => `${path}: ${message}`);

const MUTUAL = {
  '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  common_tls_context: {
    tls_certificate_provider_instance: { instance_name: 'default' },
    validation_context: {
      ca_certificate_provider_instance: { instance_name: 'default' },
      match_typed_subject_alt_names: [
        { san_type: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/default/sa/a' } },
      ],
      match_subject_alt_names: [{ exact: 'spiffe://cluster.local/ns/default/sa/a' }],
    },
  },
};
const STRICT = ['mtls: tls with a certificate'];
const PERMISSIVE = ['mtls: tls with a certificate', 'plaintext: raw_buffer'];

describe('mutual TLS', () => {
  test('is none where nobody asks for it', () => {
    const text = serviceYaml('a');
    expect(callers(text)).toBeUndefined();
    expect(chains(text)).toBeUndefined();
    expect(compileYaml(text).config).toMatchObject({ mtls: false, trustDomain: 'cluster.local' });
  });

  test('strict has callers show the identity of the mesh and ask for that of the Service, and servers take nothing else', () => {
    const text = serviceYaml('a') + meshYaml('mtls: strict');
    expect(callers(text)).toEqual(MUTUAL);
    expect(chains(text)).toEqual(STRICT);
    expect(compileYaml(text).config.mtls).toBe(true);
  });

  test('costs one line: of the mesh, or of a Service', () => {
    const plain = serviceYaml('a', ENDPOINTS);
    const secure = serviceYaml('a', `${ENDPOINTS}, mtls: strict`);
    expect(callers(secure)).toEqual(MUTUAL);
    expect(chains(secure)).toEqual(STRICT);
    expect(listenersOf(compileYaml(secure)).filter((name) => !name.includes('/'))).toEqual(
      listenersOf(compileYaml(plain)),
    );
  });

  test('permissive has servers take both, and callers stay with plaintext', () => {
    const text = serviceYaml('a', `${ENDPOINTS}, mtls: permissive`);
    expect(callers(text)).toBeUndefined();
    expect(chains(text)).toEqual(PERMISSIVE);
  });

  test('permissive with a TrafficPolicy that says mutual has callers use it', () => {
    const text = serviceYaml('a', `${ENDPOINTS}, mtls: permissive`) + policyYaml('p', 'a', 'tls: { mode: mutual }');
    expect(callers(text)).toEqual(MUTUAL);
    expect(warnings(text)).toEqual([]);
  });

  test('names the namespace and the trust domain', () => {
    const text = serviceYaml('a', ENDPOINTS, 'namespace: prod') + meshYaml('mtls: strict, trustDomain: example.org');
    expect(callers(text, 'a.prod:80').common_tls_context.validation_context.match_subject_alt_names).toEqual([
      { exact: 'spiffe://example.org/ns/prod/sa/a' },
    ]);
    expect(compileYaml(text).config.trustDomain).toBe('example.org');
  });

  test('goes by the most specific word: of a port, a Service, the mesh', () => {
    const text =
      meshYaml('mtls: strict') +
      serviceYaml('a', TWO_PORTS) +
      serviceYaml('b') +
      serviceYaml('c', `${ENDPOINTS}, mtls: disabled`) +
      authYaml('p', `${A}, mtls: { mode: permissive, ports: { "81": disabled } }`);
    expect([chains(text, 'a:80'), chains(text, 'a:81'), chains(text, 'b'), chains(text, 'c')]).toEqual([
      PERMISSIVE,
      ['any connection'],
      STRICT,
      ['any connection'],
    ]);
    // What a server has whose name is none of theirs.
    expect(chains(text, '*')).toEqual(STRICT);
    expect(chains(serviceYaml('c', `${ENDPOINTS}, mtls: strict`), '*')).toBeUndefined();
    expect([callers(text), callers(text, 'c.default:80')]).toEqual([undefined, undefined]);
  });

  test('an AuthenticationPolicy without targets is for the whole mesh', () => {
    const text = serviceYaml('a') + authYaml('p', 'mtls: { mode: strict }');
    expect(chains(text)).toEqual(STRICT);
  });

  test('of the mesh leaves what is outside of it alone, and a Service may say that it is not', () => {
    const mesh = meshYaml('mtls: strict');
    expect(callers(mesh + serviceYaml('a', 'dns: "api.example:80"'))).toBeUndefined();
    expect(callers(mesh + serviceYaml('a', 'dns: "orders:3001", mtls: strict'))).toEqual(MUTUAL);
    const https = 'dns: "api.example:443", ports: [{ port: 80, appProtocol: https }]';
    expect(callers(mesh + serviceYaml('a', https))).toMatchObject({ sni: 'api.example' });
  });

  test('listeners of servers keep the routes of policies, in each chain', () => {
    const limit =
      '\n---\napiVersion: inmesh.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: { name: l }\nspec: { targetRefs: [{ kind: Service, name: a }], side: server, limits: [{ name: r, limit: { requests: 1, per: 1s } }] }\n';
    const { filter_chains: found } = compileYaml(serviceYaml('a', `${ENDPOINTS}, mtls: permissive`) + limit).resources[
      LISTENER
    ].get('inmesh.dev/inbound/a') as { filter_chains: readonly { filters: unknown }[] };
    expect(found[0]?.filters).toEqual(found[1]?.filters);
    expect(JSON.stringify(found)).toContain('inmesh.dev/limits');
  });
});

describe('the decoder', () => {
  const text = serviceYaml('a', `${ENDPOINTS}, mtls: permissive`) + policyYaml('p', 'a', 'tls: { mode: mutual }');

  test('reads what callers do as it was meant', () => {
    expect(decoders[CLUSTER](clusterOf(compileYaml(text), 'a.default:80'), 'a.default:80').settings.tls).toEqual({
      sni: undefined,
      identity: 'default',
      roots: { kind: 'provider', instance: 'default' },
      sans: [
        { type: 'URI', match: { kind: 'exact', value: 'spiffe://cluster.local/ns/default/sa/a', ignoreCase: false } },
      ],
    });
  });

  test('reads what servers do as it was meant', () => {
    const name = 'inmesh.dev/inbound/a';
    const found = decoders[LISTENER](compileYaml(text).resources[LISTENER].get(name) as Resource, name);
    expect(found.kind === 'server' && found.listener.filterChains).toMatchObject([
      { match: { tls: true }, tls: { identity: 'default', requireClientCertificate: true } },
      { match: { rawBuffer: true } },
    ]);
  });
});

describe('TLS of callers', () => {
  test('simple verifies the name that is sent, by the roots of the system', () => {
    const text = serviceYaml('a') + policyYaml('p', 'a', 'tls: { mode: simple, sni: api.example }');
    expect(callers(text)).toMatchObject({
      sni: 'api.example',
      common_tls_context: {
        validation_context: {
          system_root_certs: {},
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'api.example' } }],
        },
      },
    });
  });

  test('simple takes the name of each endpoint where there is no other, and refuses to verify none', () => {
    const named = 'endpoints: [{ address: "10.0.0.1:443", hostname: one.example }]';
    const policy = policyYaml('p', 'a', 'tls: { mode: simple }');
    expect(callers(serviceYaml('a', named) + policy)).toMatchObject({
      auto_host_sni: true,
      auto_sni_san_validation: true,
    });
    expect(problems(serviceYaml('a') + policy)).toEqual([
      'spec.tls: "simple" needs sni, as Service "a" has endpoints without a hostname: there is no name to verify',
    ]);
  });

  test('names are told apart by their form', () => {
    const names = '["spiffe://x/y", api.example, 10.0.0.1]';
    const text = serviceYaml('a') + policyYaml('p', 'a', `tls: { mode: mutual, subjectAltNames: ${names} }`);
    const { validation_context: validation } = callers(text).common_tls_context;
    expect(validation.match_typed_subject_alt_names.map((entry: { san_type: string }) => entry.san_type)).toEqual([
      'URI',
      'DNS',
      'IP_ADDRESS',
    ]);
  });

  test('disabled turns off what the mode of the Service asks for, with a warning', () => {
    const text = serviceYaml('a', `${ENDPOINTS}, mtls: strict`) + policyYaml('p', 'a', 'tls: { mode: disabled }');
    expect(callers(text)).toBeUndefined();
    expect(warnings(text)).toEqual([
      'spec.tls.mode: servers of Service "a" have mTLS strict and will refuse these calls: write mutual',
    ]);
  });

  test('mutual towards servers without mTLS is warned of', () => {
    expect(warnings(serviceYaml('a') + policyYaml('p', 'a', 'tls: { mode: mutual }'))).toEqual([
      'spec.tls.mode: servers of Service "a" have no mTLS and may not understand: give it "mtls: permissive"',
    ]);
  });

  test('a BackendTLSPolicy verifies its hostname, or the names that it lists', () => {
    const system = 'wellKnownCACertificates: System, hostname: api.example';
    expect(callers(serviceYaml('a') + backendYaml('b', 'name: a', system))).toMatchObject({
      sni: 'api.example',
      common_tls_context: {
        validation_context: {
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'api.example' } }],
        },
      },
    });
    const names = `${system}, subjectAltNames: [{ type: URI, uri: "spiffe://x/y" }, { type: Hostname, hostname: z.example }]`;
    const { common_tls_context: common } = callers(serviceYaml('a') + backendYaml('b', 'name: a', names));
    expect(common.validation_context.match_typed_subject_alt_names).toEqual([
      { san_type: 'URI', matcher: { exact: 'spiffe://x/y' } },
      { san_type: 'DNS', matcher: { exact: 'z.example' } },
    ]);
  });

  test('a BackendTLSPolicy for a port goes before one for the Service', () => {
    const text =
      serviceYaml('a', TWO_PORTS) +
      backendYaml('b', 'name: a', 'wellKnownCACertificates: System, hostname: all.example') +
      backendYaml('c', 'name: a, sectionName: y', 'wellKnownCACertificates: System, hostname: y.example');
    expect([callers(text).sni, callers(text, 'a.default:81').sni]).toEqual(['all.example', 'y.example']);
  });
});

describe('mistakes about TLS are told with place and remedy', () => {
  const system = 'wellKnownCACertificates: System, hostname: api.example';
  test.each([
    [
      'two words about the mesh',
      meshYaml('mtls: strict') + authYaml('p', 'mtls: { mode: disabled }'),
      'spec.mtls.mode: there is another word about mTLS of the mesh: keep one',
    ],
    [
      'two words about a Service',
      serviceYaml('a', `${ENDPOINTS}, mtls: strict`) + authYaml('p', `${A}, mtls: { mode: strict }`),
      'spec.mtls.mode: there is another word about mTLS of Service "a": keep one',
    ],
    [
      'two words about a port',
      serviceYaml('a') +
        authYaml('p', `${A}, mtls: { ports: { "80": strict } }`) +
        authYaml('q', `${A}, mtls: { ports: { "80": strict } }`),
      'spec.mtls.ports.80: there is another word about mTLS of port 80 of Service "a": keep one',
    ],
    [
      'a Service that is not there',
      serviceYaml('b') + authYaml('p', `${A}, mtls: { mode: strict }`),
      'spec.targetRefs[0].name: there is no Service "a"; did you mean "b"?',
    ],
    [
      'a port that is not there',
      serviceYaml('a') + authYaml('p', `${A}, mtls: { ports: { "81": strict } }`),
      'spec.mtls.ports.81: Service "a" has no port 81; its ports: 80',
    ],
    [
      'ports without a Service',
      authYaml('p', 'mtls: { ports: { "80": strict } }'),
      'spec.mtls.ports: needs targetRefs: ports are those of a Service',
    ],
    ['mTLS that says nothing', authYaml('p', 'mtls: {}'), 'spec.mtls: must have a mode, or ports'],
    [
      'https and mTLS',
      serviceYaml('a', 'dns: "x:443", mtls: strict, ports: [{ port: 80, appProtocol: https }]'),
      `spec.ports[0].appProtocol: "https" is TLS without the mesh's identity, and the Service has "mtls: strict": keep one of them`,
    ],
    [
      'a name for no TLS',
      serviceYaml('a') + policyYaml('p', 'a', 'tls: { mode: disabled, sni: x }'),
      'spec.tls.sni: means nothing with mode disabled: remove one of them',
    ],
    [
      'no roots',
      serviceYaml('a') + backendYaml('b', 'name: a', 'hostname: x'),
      'spec.validation.wellKnownCACertificates: is missing: write System',
    ],
    [
      'a name of the other type',
      serviceYaml('a') + backendYaml('b', 'name: a', `${system}, subjectAltNames: [{ type: URI, hostname: x }]`),
      'spec.validation.subjectAltNames[0].uri: is missing: type URI needs it',
      'spec.validation.subjectAltNames[0].hostname: means nothing with type URI: remove it',
    ],
    [
      'roots that are not here',
      serviceYaml('a') +
        backendYaml('b', 'name: a', 'hostname: x, caCertificateRefs: [{ kind: ConfigMap, name: c, group: "" }]'),
      'spec.validation.caCertificateRefs: is not supported by this version of inmesh: write "wellKnownCACertificates: System", and give the process other roots by NODE_EXTRA_CA_CERTS',
    ],
    [
      'two policies for a port',
      serviceYaml('a') + backendYaml('b', 'name: a', system) + backendYaml('c', 'name: a', system),
      'spec.targetRefs[0].name: port 80 of Service "a" already has BackendTLSPolicy/b: keep one',
    ],
    [
      'a port name that is not there',
      serviceYaml('a') + backendYaml('b', 'name: a, sectionName: z', system),
      'spec.targetRefs[0].sectionName: Service "a" has no port named "z"; it has: none',
    ],
    [
      'two kinds for the same calls',
      serviceYaml('a') + backendYaml('b', 'name: a', system) + policyYaml('p', 'a', 'tls: { mode: disabled }'),
      'spec.validation: TrafficPolicy/p has tls for Service "a" too: keep one of them',
    ],
    [
      'a trust domain that is none',
      meshYaml('trustDomain: Example.org'),
      'spec.trustDomain: must be a SPIFFE trust domain: up to 255 lower-case letters, digits, ".", "-" and "_", got "Example.org"',
    ],
  ])('%s', (_, text, ...messages) => {
    expect(problems(text)).toEqual(messages);
  });
});
