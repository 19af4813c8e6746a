import { describe, expect, test } from 'vitest';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { runToEnd } from '../../../src/core/steps.js';
import { OWN } from '../../../src/xds/origin.js';
import { decodersFor } from '../../../src/xds/resources/decoders.js';
import { chain, listenerOf } from '../../support/server-resources.js';
import { downstreamTls, instance } from '../../support/tls-resources.js';
import { any } from '../../support/xds-resources.js';
import { refusesBy, type Rule } from '../../support/xds-rules.js';

const decoders = decodersFor({ certificateProviders: new Set(['default', 'ROOTCA']) });
const decode = (resource: Resource) => runToEnd(decoders[LISTENER](resource, 'l', OWN));
const withSocket = (transport_socket: Resource): Resource => listenerOf('l', [chain(undefined, { transport_socket })]);

const certificate: Resource = { tls_certificate_provider_instance: instance('default') };
const roots: Resource = { ca_certificate_provider_instance: instance('ROOTCA') };
const context = (common_tls_context: Resource, fields: Resource = {}): Resource =>
  withSocket(downstreamTls({ common_tls_context, ...fields }));
/** With the rules of gRPC met in all but `fields`. */
const outer = (fields: Resource): Resource => context(certificate, fields);
const common = (fields: Resource): Resource => context({ ...certificate, ...fields });
const validation = (fields: Resource): Resource => common({ validation_context: { ...roots, ...fields } });

const SOCKET = 'filter_chains[0].transport_socket';
const TLS = `${SOCKET}.typed_config`;
const COMMON = `${TLS}.common_tls_context`;
const VALIDATION = `${COMMON}.validation_context`;
const COMBINED = `${COMMON}.combined_validation_context`;

const NACKED: readonly Rule[] = [
  {
    rule: 'transport_socket has another name',
    source: 'A29',
    resource: withSocket({ ...downstreamTls({ common_tls_context: certificate }), name: 'tls' }),
    problem: `${SOCKET}.name: must be "envoy.transport_sockets.tls", got "tls"`,
  },
  {
    rule: 'transport_socket is of another type',
    source: 'A29',
    resource: withSocket({ name: 'envoy.transport_sockets.tls', typed_config: any('x.Y') }),
    problem: `${TLS}: must be envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, got "x.Y"`,
  },
  {
    rule: 'transport_socket has no configuration',
    source: 'A29',
    resource: withSocket({ name: 'envoy.transport_sockets.tls' }),
    problem: `${TLS}: must be set`,
  },
  {
    rule: 'require_sni is true',
    source: 'A29',
    resource: outer({ require_sni: { value: true } }),
    problem: `${TLS}.require_sni: must be false or not set`,
  },
  ...['STRICT_STAPLING', 'MUST_STAPLE', 9].map((ocsp_staple_policy) => ({
    rule: `ocsp_staple_policy is ${ocsp_staple_policy}`,
    source: 'A29',
    resource: outer({ ocsp_staple_policy }),
    problem: `${TLS}.ocsp_staple_policy: must be one of LENIENT_STAPLING`,
  })),
  {
    rule: 'common_tls_context is not set',
    source: 'A29',
    resource: withSocket(downstreamTls({})),
    problem: `${COMMON}: must be set`,
  },
  {
    rule: 'there is no certificate',
    source: 'A29',
    resource: context({}),
    problem: `${COMMON}.tls_certificate_provider_instance: must be set: a server needs a certificate`,
  },
  {
    rule: 'tls_certificates is set without a provider instance',
    source: 'A29',
    resource: context({ tls_certificates: [{}] }),
    problem: `${COMMON}.tls_certificates: is not supported without tls_certificate_provider_instance`,
  },
  {
    rule: 'the certificate comes over SDS',
    source: 'A29',
    resource: context({ tls_certificate_sds_secret_configs: [{ name: 'x' }] }),
    problem: `${COMMON}.tls_certificate_sds_secret_configs: is not supported without`,
  },
  {
    rule: 'the certificate’s provider instance is unknown',
    source: 'A29',
    resource: context({ tls_certificate_provider_instance: instance('nobody') }),
    problem: `${COMMON}.tls_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  {
    rule: 'tls_params is set',
    source: 'A29',
    resource: common({ tls_params: {} }),
    problem: `${COMMON}.tls_params: is not supported`,
  },
  {
    rule: 'custom_handshaker is set',
    source: 'A29',
    resource: common({ custom_handshaker: { name: 'x' } }),
    problem: `${COMMON}.custom_handshaker: is not supported`,
  },
  {
    rule: 'require_client_certificate is true without a validation context',
    source: 'A29',
    resource: outer({ require_client_certificate: { value: true } }),
    problem: `${TLS}.require_client_certificate: must not be true without a validation context`,
  },
  {
    rule: 'the validation context comes over SDS',
    source: 'A29',
    resource: common({ validation_context_sds_secret_config: { name: 'x' } }),
    problem: `${COMMON}.validation_context_sds_secret_config: is not supported`,
  },
  {
    rule: 'a validation context has no roots',
    source: 'A29',
    resource: common({ validation_context: { trusted_ca: {} } }),
    problem: `${VALIDATION}.ca_certificate_provider_instance: must be set`,
  },
  {
    rule: 'a combined validation context has no default',
    source: 'A29',
    resource: common({ combined_validation_context: {} }),
    problem: `${COMBINED}.default_validation_context: must be set`,
  },
  {
    rule: 'the roots are the system’s',
    source: 'A82',
    resource: common({ validation_context: { system_root_certs: {} } }),
    problem: `${VALIDATION}.system_root_certs: is not supported on a server`,
  },
  {
    rule: 'the roots’ provider instance is unknown',
    source: 'A29',
    resource: common({ validation_context: { ca_certificate_provider_instance: instance('nobody') } }),
    problem: `${VALIDATION}.ca_certificate_provider_instance.instance_name: must be in the bootstrap's`,
  },
  ...['verify_certificate_spki', 'verify_certificate_hash'].map((name) => ({
    rule: `${name} is set`,
    source: 'A29',
    resource: validation({ [name]: ['x'] }),
    problem: `${VALIDATION}.${name}: is not supported`,
  })),
  {
    rule: 'require_signed_certificate_timestamp is true',
    source: 'A29',
    resource: validation({ require_signed_certificate_timestamp: { value: true } }),
    problem: `${VALIDATION}.require_signed_certificate_timestamp: is not supported`,
  },
  ...['crl', 'custom_validator_config'].map((name) => ({
    rule: `${name} is set`,
    source: 'A29',
    resource: validation({ [name]: {} }),
    problem: `${VALIDATION}.${name}: is not supported`,
  })),
  {
    rule: 'match_subject_alt_names is set',
    source: 'A29',
    resource: validation({ match_subject_alt_names: [{ exact: 'a' }] }),
    problem: `${VALIDATION}.match_subject_alt_names: is not supported on a server`,
  },
  {
    rule: 'match_typed_subject_alt_names is set',
    source: 'A29',
    resource: validation({ match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'a' } }] }),
    problem: `${VALIDATION}.match_typed_subject_alt_names: is not supported on a server`,
  },
  {
    rule: 'the TLS context of the default filter chain is invalid',
    source: 'A36, A29',
    resource: listenerOf('l', [], { default_filter_chain: chain(undefined, { transport_socket: downstreamTls({}) }) }),
    problem: 'default_filter_chain.transport_socket.typed_config.common_tls_context: must be set',
  },
];
refusesBy('LDS server, TLS', decode, NACKED);

const SECURED = { identity: 'default', requireClientCertificate: false };

describe('LDS server, TLS', () => {
  test.each<[string, Resource, object]>([
    ['there is a certificate, and none is asked of clients (A29)', outer({}), { ...SECURED, roots: undefined }],
    ['clients may show a certificate (A29)', validation({}), SECURED],
    [
      'clients must show a certificate (A29)',
      context(
        { ...certificate, validation_context: roots },
        { require_client_certificate: { value: true }, require_sni: { value: false } },
      ),
      { ...SECURED, roots: { kind: 'provider', instance: 'ROOTCA' }, requireClientCertificate: true },
    ],
    [
      'both instances are in deprecated fields, as istiod sends them too (A29)',
      context(
        {
          tls_certificate_certificate_provider_instance: instance('default'),
          combined_validation_context: {
            default_validation_context: {},
            validation_context_certificate_provider_instance: instance('ROOTCA'),
          },
        },
        { require_client_certificate: { value: true } },
      ),
      { ...SECURED, roots: { kind: 'provider', instance: 'ROOTCA' }, requireClientCertificate: true },
    ],
    [
      'session tickets and timeouts are set, which are ignored (A29)',
      outer({ session_ticket_keys: { keys: [{}] }, session_timeout: { seconds: 1 } }),
      SECURED,
    ],
    ['alpn_protocols is set, which is ignored (A29)', common({ alpn_protocols: ['h2'] }), SECURED],
    [
      'trusted_ca, watched_directory, allow_expired_certificate and trust_chain_verification are set, which are ignored (A29)',
      validation({
        trusted_ca: {},
        watched_directory: {},
        allow_expired_certificate: true,
        trust_chain_verification: 'ACCEPT_UNTRUSTED',
      }),
      SECURED,
    ],
  ])('no NACK when %s', (_, resource, tls) => {
    const listener = decode(resource);
    if (listener.kind !== 'server') throw new Error('not the listener of a server');
    expect(listener.listener.filterChains[0]?.tls).toMatchObject(tls);
  });
});
