import { describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER, type Resource, type ResourceType } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/codec.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { chain, cidr, httpFilter, listenerOf, serverResource } from '../../support/server-resources.js';
import { downstreamTls, instance, upstreamTls } from '../../support/tls-resources.js';
import { any, clusterResource, connectionManager, routerFilter } from '../../support/xds-resources.js';

const codec = await loadCodec();
/** As bytes and back: what the schema lacks would be lost here, and its rule with it. */
const overTheWire = (type: ResourceType, resource: Resource): Resource =>
  codec.decodeResource(type, codec.encodeResource(type, resource));
const listener = (resource: Resource) => decoders[LISTENER](overTheWire(LISTENER, resource), 'l');

describe('over the wire', () => {
  test('a server’s listener is what it was', () => {
    const route_config = { virtual_hosts: [{ name: 'v', domains: ['*'], routes: [] }] };
    const match = {
      prefix_ranges: [cidr('10.1.2.3', 8), cidr('::', 0)],
      source_prefix_ranges: [cidr('192.168.0.0', 16)],
      source_type: 'SAME_IP_OR_LOOPBACK',
      source_ports: [1, 65_535],
      transport_protocol: 'raw_buffer',
    };
    const resource = listenerOf(
      'l',
      [chain(match, { name: 'one' }), chain({ destination_port: { value: 0 } }), chain({ server_names: ['a'] })],
      {
        use_original_dst: {},
        default_filter_chain: chain(undefined, {
          filters: [{ name: 'http', typed_config: connectionManager({ route_config }) }],
        }),
      },
    );
    expect(listener(resource)).toEqual(decoders[LISTENER](resource, 'l'));
    expect(listener(resource)).toMatchObject({ listener: { filterChains: [{ name: 'one' }] } });
  });

  test.each<[string, Resource, string]>([
    ['listener_filters', listenerOf('l', [], { listener_filters: [{ name: 'x' }] }), 'listener_filters: must be empty'],
    [
      'filter_chain_matcher',
      listenerOf('l', [], { filter_chain_matcher: {} }),
      'filter_chain_matcher: is not supported',
    ],
    [
      'the older TypedStruct',
      serverResource('l', {
        http_filters: [
          { name: 'x', typed_config: any('udpa.type.v1.TypedStruct', { type_url: 'type.googleapis.com/x.Y' }) },
          routerFilter,
        ],
      }),
      'filter "x.Y" is not supported by a server',
    ],
    [
      'a CEL condition',
      serverResource('l', {
        http_filters: [
          {
            name: 'rbac',
            typed_config: any('envoy.extensions.filters.http.rbac.v3.RBAC', {
              rules: { policies: { p: { permissions: [{ any: true }], principals: [{ any: true }], condition: {} } } },
            }),
          },
          routerFilter,
        ],
      }),
      'condition: must not be set: CEL is not supported',
    ],
    [
      'a matcher tree instead of RBAC rules',
      serverResource('l', {
        http_filters: [
          { name: 'rbac', typed_config: any('envoy.extensions.filters.http.rbac.v3.RBAC', { matcher: {} }) },
          routerFilter,
        ],
      }),
      'matcher: is not supported',
    ],
    [
      'a custom handshaker',
      listenerOf('l', [
        chain(undefined, {
          transport_socket: downstreamTls({ common_tls_context: { custom_handshaker: { name: 'x' } } }),
        }),
      ]),
      'custom_handshaker: is not supported',
    ],
    [
      'require_sni',
      listenerOf('l', [chain(undefined, { transport_socket: downstreamTls({ require_sni: { value: true } }) })]),
      'require_sni: must be false',
    ],
    [
      'two filters of one name',
      listenerOf('l', [chain(undefined, { filters: [httpFilter(), httpFilter()] })]),
      'repeated',
    ],
  ])('%s is seen', (_, resource, problem) => {
    expect(refusal(() => listener(resource))).toContain(problem);
  });

  test('the fields of gRFC A101 are seen', () => {
    const cluster = (fields: Resource) => {
      const validation_context = { system_root_certs: {}, match_subject_alt_names: [{ exact: 'other' }] };
      const transport_socket = upstreamTls({ sni: 'a', common_tls_context: { validation_context }, ...fields });
      return decoders[CLUSTER](overTheWire(CLUSTER, clusterResource('c', { transport_socket })), 'c');
    };
    expect(cluster({ auto_sni_san_validation: true }).settings.tls).toMatchObject({ verifySni: true });
    expect(cluster({ auto_host_sni: true }).settings.tls).toMatchObject({ sniFromHost: true });
  });

  test('both kinds of provider instance are seen', () => {
    const read = (common_tls_context: Resource) =>
      listener(listenerOf('l', [chain(undefined, { transport_socket: downstreamTls({ common_tls_context }) })]));
    for (const name of ['tls_certificate_provider_instance', 'tls_certificate_certificate_provider_instance'])
      expect(refusal(() => read({ [name]: instance('x') }))).toContain(
        `${name}.instance_name: must be in the bootstrap's`,
      );
  });
});
