import { describe, expect, test } from 'vitest';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { OWN } from '../../../src/xds/origin.js';
import { type Models, decodersFor } from '../../../src/xds/resources/decoders.js';
import { refusal } from '../../support/refusal.js';
import { instance, upstreamTls } from '../../support/tls-resources.js';
import { any, clusterResource } from '../../support/xds-resources.js';
import { type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';

const decoders = decodersFor({ certificateProviders: new Set(['default', 'ROOTCA']) });
const decode = (fields: Resource): Models[typeof CLUSTER] =>
  runToEnd(decoders[CLUSTER](clusterResource('c', fields), 'c', OWN));

/** By gRPC's rules right: a server verified by a provider's roots. */
const providerRoots: Resource = { ca_certificate_provider_instance: instance('ROOTCA') };
const context = (common_tls_context: Resource, fields: Resource = {}): Resource => ({
  transport_socket: upstreamTls({ sni: 'a.example', common_tls_context, ...fields }),
});
/** With the rules of gRPC met in all but `common`. */
const common = (fields: Resource): Resource => context({ validation_context: providerRoots, ...fields });
const validation = (fields: Resource): Resource => context({ validation_context: { ...providerRoots, ...fields } });
const system = (fields: Resource = {}, outer: Resource = {}): Resource =>
  context({ validation_context: { system_root_certs: {}, ...fields } }, outer);

const TLS = 'transport_socket.typed_config';
const COMMON = `${TLS}.common_tls_context`;
const VALIDATION = `${COMMON}.validation_context`;
const COMBINED = `${COMMON}.combined_validation_context`;

const NACKED: readonly Rule[] = [
  {
    rule: 'transport_socket_matches is not empty',
    source: 'A29',
    resource: { transport_socket_matches: [{ name: 'x' }] },
    problem: 'transport_socket_matches: is not supported',
  },
  {
    rule: 'transport_socket has no configuration',
    source: 'A29',
    resource: { transport_socket: { name: 'envoy.transport_sockets.tls' } },
    problem: `${TLS}: must be set`,
  },
  {
    rule: 'transport_socket is of another type',
    source: 'A29',
    resource: { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: any('x.Y') } },
    problem: `${TLS}: must be envoy`,
  },
  {
    rule: 'an UpstreamTlsContext comes as a TypedStruct',
    source: 'A29',
    resource: {
      transport_socket: {
        typed_config: any('xds.type.v3.TypedStruct', {
          type_url: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        }),
      },
    },
    problem: `${TLS}: must be envoy`,
  },
  {
    rule: 'sni is longer than 255',
    source: 'A101',
    resource: system({}, { sni: 'a'.repeat(256) }),
    problem: `${TLS}.sni: must be at most 255 characters long, has 256`,
  },
  {
    rule: 'common_tls_context is not set',
    source: 'A29',
    resource: { transport_socket: upstreamTls({}) },
    problem: `${COMMON}: must be set`,
  },
  {
    rule: 'tls_params is set',
    source: 'A29',
    resource: common({ tls_params: {} }),
    problem: `${COMMON}.tls_params: is not supported, and TLS settings are never ignored`,
  },
  {
    rule: 'custom_handshaker is set',
    source: 'A29',
    resource: common({ custom_handshaker: { name: 'x' } }),
    problem: `${COMMON}.custom_handshaker: is not supported`,
  },
  {
    rule: 'tls_certificates is set without a provider instance',
    source: 'A29',
    resource: common({ tls_certificates: [{}] }),
    problem: `${COMMON}.tls_certificates: is not supported without tls_certificate_provider_instance`,
  },
  {
    rule: 'tls_certificate_sds_secret_configs is set without a provider instance',
    source: 'A29',
    resource: common({ tls_certificate_sds_secret_configs: [{ name: 'x' }] }),
    problem: `${COMMON}.tls_certificate_sds_secret_configs: is not supported without`,
  },
  {
    rule: 'tls_certificate_certificate_provider is set without a provider instance',
    source: 'A29',
    resource: common({ tls_certificate_certificate_provider: { name: 'x' } }),
    problem: `${COMMON}.tls_certificate_certificate_provider: is not supported without`,
  },
  {
    rule: 'the identity’s provider instance is unknown',
    source: 'A29',
    resource: common({ tls_certificate_provider_instance: instance('nobody') }),
    problem: `${COMMON}.tls_certificate_provider_instance.instance_name: must be in the bootstrap's certificate_providers, got "nobody", and it has default, ROOTCA`,
  },
  {
    rule: 'the identity’s provider instance in the deprecated field is unknown',
    source: 'A29',
    resource: common({ tls_certificate_certificate_provider_instance: instance('nobody') }),
    problem: `${COMMON}.tls_certificate_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'there is no validation context',
    source: 'A29',
    resource: context({}),
    problem: `${VALIDATION}: must be set`,
  },
  {
    rule: 'the validation context comes over SDS',
    source: 'A29',
    resource: context({ validation_context_sds_secret_config: { name: 'x' } }),
    problem: `${COMMON}.validation_context_sds_secret_config: is not supported`,
  },
  {
    rule: 'the validation context comes from a provider that the control plane describes',
    source: 'A29',
    resource: context({ validation_context_certificate_provider: { name: 'x' } }),
    problem: `${COMMON}.validation_context_certificate_provider: is not supported`,
  },
  {
    rule: 'a combined validation context has no default',
    source: 'A29',
    resource: context({ combined_validation_context: {} }),
    problem: `${COMBINED}.default_validation_context: must be set`,
  },
  {
    rule: 'a combined validation context has the system’s roots and what SDS adds',
    source: 'A29, A82',
    resource: context({
      combined_validation_context: {
        default_validation_context: { system_root_certs: {} },
        validation_context_sds_secret_config: { name: 'x' },
      },
    }),
    problem: `${COMBINED}.validation_context_sds_secret_config: is not supported without`,
  },
  {
    rule: 'there are no roots',
    source: 'A29, A82',
    resource: context({ validation_context: { trusted_ca: {} } }),
    problem: `${VALIDATION}.system_root_certs: must be set, or ca_certificate_provider_instance`,
  },
  {
    rule: 'a combined validation context has no roots',
    source: 'A29, A82',
    resource: context({ combined_validation_context: { default_validation_context: {} } }),
    problem: `${COMBINED}.default_validation_context.system_root_certs: must be set`,
  },
  {
    rule: 'the roots’ provider instance is unknown',
    source: 'A29',
    resource: context({ validation_context: { ca_certificate_provider_instance: instance('nobody') } }),
    problem: `${VALIDATION}.ca_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'the roots’ provider instance is unknown, though the system’s roots be there',
    source: 'A82',
    resource: system({ ca_certificate_provider_instance: instance('nobody') }),
    problem: `${VALIDATION}.ca_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'the roots’ provider instance in the deprecated field is unknown',
    source: 'A29',
    resource: context({ validation_context_certificate_provider_instance: instance('nobody') }),
    problem: `${COMMON}.validation_context_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'the roots’ provider instance in the combined context’s deprecated field is unknown',
    source: 'A29',
    resource: context({
      combined_validation_context: { validation_context_certificate_provider_instance: instance('nobody') },
    }),
    problem: `${COMBINED}.validation_context_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'verify_certificate_spki is set',
    source: 'A29',
    resource: validation({ verify_certificate_spki: ['x'] }),
    problem: `${VALIDATION}.verify_certificate_spki: is not supported, and TLS settings are never ignored`,
  },
  {
    rule: 'verify_certificate_hash is set',
    source: 'A29',
    resource: validation({ verify_certificate_hash: ['x'] }),
    problem: `${VALIDATION}.verify_certificate_hash: is not supported`,
  },
  {
    rule: 'require_signed_certificate_timestamp is true',
    source: 'A29',
    resource: validation({ require_signed_certificate_timestamp: { value: true } }),
    problem: `${VALIDATION}.require_signed_certificate_timestamp: is not supported`,
  },
  {
    rule: 'crl is set',
    source: 'A29',
    resource: validation({ crl: {} }),
    problem: `${VALIDATION}.crl: is not supported`,
  },
  {
    rule: 'custom_validator_config is set',
    source: 'A29',
    resource: validation({ custom_validator_config: { name: 'x' } }),
    problem: `${VALIDATION}.custom_validator_config: is not supported`,
  },
  {
    rule: 'crl is set in a combined validation context',
    source: 'A29',
    resource: context({ combined_validation_context: { default_validation_context: { ...providerRoots, crl: {} } } }),
    problem: `${COMBINED}.default_validation_context.crl: is not supported`,
  },
  {
    rule: 'a matcher of match_subject_alt_names is invalid',
    source: 'A29',
    resource: validation({ match_subject_alt_names: [{ safe_regex: { regex: '(' } }] }),
    problem: `${VALIDATION}.match_subject_alt_names[0].safe_regex.regex`,
  },
  {
    rule: 'a matcher of match_typed_subject_alt_names is invalid',
    source: 'common.proto',
    resource: validation({ match_typed_subject_alt_names: [{ san_type: 'URI' }] }),
    problem: `${VALIDATION}.match_typed_subject_alt_names[0].matcher: must be set`,
  },
  {
    rule: 'a matcher of match_typed_subject_alt_names has no type',
    source: 'common.proto',
    resource: validation({ match_typed_subject_alt_names: [{ matcher: { exact: 'a' } }] }),
    problem: `${VALIDATION}.match_typed_subject_alt_names[0].san_type: must be one of EMAIL`,
  },
  {
    rule: 'a matcher of match_typed_subject_alt_names for OTHER_NAME has no oid',
    source: 'common.proto',
    resource: validation({ match_typed_subject_alt_names: [{ san_type: 'OTHER_NAME', matcher: { exact: 'a' } }] }),
    problem: `${VALIDATION}.match_typed_subject_alt_names[0].oid: must be an object identifier`,
  },
];
refusesBy('CDS, TLS', decode, NACKED);

/** What gRPC takes, and what it comes to. */
const ROOTCA = { kind: 'provider', instance: 'ROOTCA' };
const SYSTEM = { kind: 'system' };
const exactly = (type: string, value: string): object => ({
  type,
  match: { kind: 'exact', value, ignoreCase: false },
});
const PROVIDERS: readonly (Leniency & { readonly tls: object })[] = [
  { rule: 'roots come from a provider instance', source: 'A29', resource: validation({}), tls: {} },
  {
    rule: 'the certificate comes from a provider instance, and other certificates are ignored',
    source: 'A29',
    resource: common({
      tls_certificate_provider_instance: instance('default'),
      tls_certificates: [{}],
      tls_certificate_sds_secret_configs: [{ name: 'x' }],
    }),
    tls: { identity: 'default' },
  },
  {
    rule: 'instances have no name, which stands for "default"',
    source: 'common.proto',
    resource: context({
      tls_certificate_provider_instance: {},
      validation_context: { ca_certificate_provider_instance: {} },
    }),
    tls: { identity: 'default', roots: { kind: 'provider', instance: 'default' } },
  },
  {
    rule: 'both instances are in deprecated fields',
    source: 'A29',
    resource: context({
      tls_certificate_certificate_provider_instance: instance('default'),
      validation_context_certificate_provider_instance: instance('ROOTCA'),
    }),
    tls: { identity: 'default' },
  },
  {
    rule: 'both instances are in current and in deprecated fields, as istiod sends them',
    source: 'A29',
    resource: context({
      tls_certificate_provider_instance: instance('default'),
      tls_certificate_certificate_provider_instance: instance('default'),
      combined_validation_context: {
        default_validation_context: {
          ca_certificate_provider_instance: instance('ROOTCA'),
          match_subject_alt_names: [{ exact: 'spiffe://cluster.local/ns/a/sa/b' }],
        },
        validation_context_certificate_provider_instance: instance('ROOTCA'),
      },
    }),
    tls: { identity: 'default', sans: [exactly('any', 'spiffe://cluster.local/ns/a/sa/b')] },
  },
  {
    rule: 'a combined validation context has the names, and a deprecated field the roots',
    source: 'A29',
    resource: context({
      combined_validation_context: {
        default_validation_context: { match_subject_alt_names: [{ prefix: 'spiffe://' }] },
        validation_context_certificate_provider_instance: instance('ROOTCA'),
        validation_context_sds_secret_config: { name: 'ROOTCA' },
      },
    }),
    tls: { sans: [{ type: 'any', match: { kind: 'prefix', value: 'spiffe://', ignoreCase: false } }] },
  },
  {
    rule: 'trusted_ca, watched_directory, allow_expired_certificate and trust_chain_verification are set, which are ignored',
    source: 'A29',
    resource: validation({
      trusted_ca: {},
      watched_directory: {},
      allow_expired_certificate: true,
      trust_chain_verification: 'ACCEPT_UNTRUSTED',
      require_signed_certificate_timestamp: { value: false },
    }),
    tls: {},
  },
  {
    rule: 'there is no sni, or that of the host',
    source: 'A101',
    resource: context({ validation_context: providerRoots }, { sni: '', auto_host_sni: true }),
    tls: { sni: undefined, sniFromHost: true },
  },
  {
    rule: 'the roots are the system’s, and the certificate comes from a provider instance',
    source: 'A82',
    resource: context({
      tls_certificate_provider_instance: instance('default'),
      validation_context: { system_root_certs: {} },
    }),
    tls: { identity: 'default', roots: SYSTEM, verifySni: true },
  },
  {
    rule: 'the system’s roots are there beside a provider instance, which goes before',
    source: 'A82',
    resource: system(providerRoots),
    tls: {},
  },
];

test.each(PROVIDERS.map(({ rule, source, resource, tls }) => [`${rule} (${source})`, resource, tls] as const))(
  'CDS, TLS: no NACK when %s',
  (_, resource, tls) => {
    expect(decode(resource).settings.tls).toEqual({
      sni: 'a.example',
      identity: undefined,
      roots: ROOTCA,
      sans: [],
      ...tls,
    });
  },
);

describe('TLS with the system’s roots', () => {
  const found = (tls: object): object => ({ sni: 'a.example', identity: undefined, roots: SYSTEM, sans: [], ...tls });
  const verified = found({ verifySni: true });

  test.each<[string, Resource, object]>([
    ['sni and system_root_certs (A82): the name is verified', system(), verified],
    [
      'a combined validation context',
      context({ combined_validation_context: { default_validation_context: { system_root_certs: {} } } }),
      verified,
    ],
    [
      'typed matchers',
      system({
        match_typed_subject_alt_names: [
          { san_type: 'DNS', matcher: { exact: 'A.example' } },
          { san_type: 'OTHER_NAME', matcher: { exact: 'x' }, oid: '1.2.3' },
        ],
        match_subject_alt_names: [{ exact: 'ignored' }],
      }),
      found({ sans: [exactly('DNS', 'A.example'), { ...exactly('OTHER_NAME', 'x'), oid: '1.2.3' }] }),
    ],
    ['untyped matchers', system({ match_subject_alt_names: [{ exact: 'b' }] }), found({ sans: [exactly('any', 'b')] })],
    [
      'matchers and auto_sni_san_validation, which replaces them where a name is sent (A101)',
      system({ match_subject_alt_names: [{ exact: 'b' }] }, { auto_sni_san_validation: true }),
      found({ verifySni: true, sans: [exactly('any', 'b')] }),
    ],
    [
      'auto_host_sni (A101)',
      system({}, { auto_host_sni: true, sni: '' }),
      found({ sni: undefined, sniFromHost: true, verifySni: true }),
    ],
    ['max_verify_depth', system({ max_verify_depth: { value: 1 } }), found({ verifySni: true, maxVerifyDepth: 1 })],
    [
      'allow_renegotiation and max_session_keys, which are ignored (A29)',
      system({}, { allow_renegotiation: true, max_session_keys: { value: 3 } }),
      verified,
    ],
    [
      'alpn_protocols, which is ignored (A29)',
      context({ alpn_protocols: ['h2'], validation_context: { system_root_certs: {} } }),
      verified,
    ],
    [
      'allow_expired_certificate and trust_chain_verification, which are ignored (A29)',
      system({ allow_expired_certificate: true, trust_chain_verification: 'ACCEPT_UNTRUSTED' }),
      verified,
    ],
  ])('CDS, TLS: no NACK with %s', (_, resource, tls) => {
    expect(decode(resource).settings.tls).toEqual(tls);
  });

  test.each<[string, Resource, string]>([
    ['no name at all, by which any server would do', system({}, { sni: '' }), `${TLS}.sni: must be set`],
    ['trusted_ca', system({ trusted_ca: {} }), `${VALIDATION}.trusted_ca: is not supported with system_root_certs`],
  ])('CDS, TLS: refused with %s', (_, resource, problem) => {
    expect(refusal(() => decode(resource))).toContain(problem);
  });

  test('CDS, TLS: raw_buffer is plain text, as is no transport_socket (A29)', () => {
    const typed_config = any('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer');
    expect(decode({ transport_socket: { name: 'raw', typed_config } }).settings.tls).toBeUndefined();
    expect(decode({}).settings.tls).toBeUndefined();
  });
});
