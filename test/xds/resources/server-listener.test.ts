import { describe, expect, test } from 'vitest';
import type { ServerListener } from '../../../src/core/model/server.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { chain, cidr, httpFilter, listenerOf, serverResource, socketAddress } from '../../support/server-resources.js';
import { ads, any, connectionManager, routerFilter } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';

const decode = (resource: Resource): ServerListener => {
  const found = decoders[LISTENER](resource, 'l');
  if (found.kind !== 'server') throw new Error('is no listener for a server');
  return found.listener;
};
const listenerWith = (fields: Resource): Resource => listenerOf('l', [chain(undefined)], fields);
const chains = (...list: Resource[]): Resource => listenerOf('l', list);
const oneChain = (fields: Resource): Resource => chains(chain(undefined, fields));
const network = (...filters: Resource[]): Resource => oneChain({ filters });
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const HCM_PATH = 'filter_chains[0].filters[0].typed_config';

const LISTENER_RULES: readonly Rule[] = [
  {
    rule: 'its address is no socket address',
    source: 'A36',
    resource: listenerWith({ address: { pipe: { path: '/x' } } }),
    problem: 'address: must be a socket_address',
  },
  {
    rule: 'its address is UDP',
    source: 'A36',
    resource: listenerWith({ address: { socket_address: { protocol: 'UDP', address: '::1', port_value: 1 } } }),
    problem: 'address.socket_address.protocol: must be one of TCP',
  },
  {
    rule: 'its address is a name',
    source: 'address.proto',
    resource: listenerWith({ address: socketAddress('localhost', 80) }),
    problem: 'address.socket_address.address: must be an IP address',
  },
  {
    rule: 'its port is out of range',
    source: 'address.proto',
    resource: listenerWith({ address: socketAddress('::', 65_536) }),
    problem: 'address.socket_address.port_value: must be from 1 to 65535',
  },
  {
    rule: 'listener_filters is not empty',
    source: 'A36',
    resource: listenerWith({ listener_filters: [{ name: 'tls_inspector' }] }),
    problem: 'listener_filters: must be empty',
  },
  {
    rule: 'use_original_dst is true',
    source: 'A36',
    resource: listenerWith({ use_original_dst: { value: true } }),
    problem: 'use_original_dst: must be false or not set',
  },
  {
    rule: 'filter_chain_matcher is set, which takes the place of filter_chain_match',
    source: 'listener.proto',
    resource: listenerWith({ filter_chain_matcher: {} }),
    problem: 'filter_chain_matcher: is not supported',
  },
  {
    rule: 'it has neither filter chain nor default',
    source: 'A36, grpc-go',
    resource: chains(),
    problem: 'filter_chains: must have one that can match, or there must be a default_filter_chain',
  },
  {
    rule: 'none of its chains can ever match, and it has no default',
    source: 'A36, grpc-go',
    resource: chains(chain({ server_names: ['a'] })),
    problem: 'filter_chains: must have one that can match',
  },
  {
    rule: 'a filter chain’s name is repeated',
    source: 'listener_components.proto',
    resource: chains(chain(undefined, { name: 'a' }), chain({ source_ports: [1] }, { name: 'a' })),
    problem: 'filter_chains[1].name: must not be repeated',
  },
  {
    rule: 'the default filter chain has another’s name',
    source: 'listener_components.proto',
    resource: listenerOf('l', [chain(undefined, { name: 'a' })], {
      default_filter_chain: chain(undefined, { name: 'a' }),
    }),
    problem: 'default_filter_chain.name: must not be repeated',
  },
  {
    rule: 'the default filter chain is invalid',
    source: 'A36',
    resource: listenerWith({ default_filter_chain: {} }),
    problem: 'default_filter_chain.filters: must have a envoy',
  },
  {
    rule: 'a chain that never matches is invalid',
    source: 'A36',
    resource: chains(chain(undefined), chain({ server_names: ['a'] }, { filters: [] })),
    problem: 'filter_chains[1].filters: must have a envoy',
  },
  {
    rule: 'a chain expects the PROXY protocol, which takes a listener filter',
    source: 'A36, listener_components.proto',
    resource: oneChain({ use_proxy_proto: { value: true } }),
    problem: 'filter_chains[0].use_proxy_proto: must be false',
  },
];

const FILTER_RULES: readonly Rule[] = [
  {
    rule: 'a chain has no HttpConnectionManager',
    source: 'A36',
    resource: network(),
    problem: `filter_chains[0].filters: must have a ${HCM}`,
  },
  {
    rule: 'a chain has two HttpConnectionManagers',
    source: 'A36',
    resource: network(httpFilter(), { ...httpFilter(), name: 'again' }),
    problem: 'filter_chains[0].filters[1]: is a second HttpConnectionManager',
  },
  {
    rule: 'a network filter’s name is repeated',
    source: 'A36',
    resource: network(httpFilter(), httpFilter()),
    problem: 'filter_chains[0].filters[1].name: must not be repeated',
  },
  {
    rule: 'a network filter has no name',
    source: 'A36',
    resource: network({ ...httpFilter(), name: '' }),
    problem: 'filter_chains[0].filters[0].name: must be set',
  },
  {
    rule: 'a network filter is not supported',
    source: 'A36',
    resource: network({ name: 'tcp', typed_config: any('x.Y') }, httpFilter()),
    problem: 'filter_chains[0].filters[0].typed_config: network filter "x.Y" is not supported',
  },
  {
    rule: 'a network filter in a TypedStruct is not supported',
    source: 'A36',
    resource: network({
      name: 'tcp',
      typed_config: any('udpa.type.v1.TypedStruct', { type_url: 'type.googleapis.com/x.Y' }),
    }),
    problem: 'filter_chains[0].filters[0].typed_config: network filter "x.Y" is not supported',
  },
  {
    rule: 'the HttpConnectionManager comes as a TypedStruct',
    source: 'A36',
    resource: network({
      name: 'http',
      typed_config: any('xds.type.v3.TypedStruct', { type_url: `type.googleapis.com/${HCM}` }),
    }),
    problem: 'filter_chains[0].filters[0].typed_config: must be a envoy',
  },
  {
    rule: 'a network filter has no configuration',
    source: 'A36',
    resource: network({ name: 'http' }),
    problem: 'filter_chains[0].filters[0].typed_config: must be set',
  },
  {
    rule: 'a network filter’s configuration comes by config_discovery',
    source: 'A36',
    resource: network({ name: 'http', config_discovery: {} }),
    problem: 'filter_chains[0].filters[0].config_discovery: is not supported',
  },
  {
    rule: 'xff_num_trusted_hops is not 0',
    source: 'A41',
    resource: serverResource('l', { xff_num_trusted_hops: 1 }),
    problem: `${HCM_PATH}.xff_num_trusted_hops: must be 0`,
  },
  {
    rule: 'original_ip_detection_extensions is set',
    source: 'A41',
    resource: serverResource('l', { original_ip_detection_extensions: [{ name: 'x' }] }),
    problem: `${HCM_PATH}.original_ip_detection_extensions: must be empty`,
  },
  {
    rule: 'RDS comes from neither ads nor self',
    source: 'A36, A27',
    resource: serverResource('l', { rds: { config_source: { path: '/x' }, route_config_name: 'r' } }),
    problem: `${HCM_PATH}.rds.config_source: must be ads or self`,
  },
  {
    rule: 'route_config_name is empty',
    source: 'A36, A27',
    resource: serverResource('l', { rds: { config_source: ads } }),
    problem: `${HCM_PATH}.rds.route_config_name: must be set and not empty`,
  },
  {
    rule: 'it has neither rds nor route_config',
    source: 'A36',
    resource: network({ name: 'http', typed_config: connectionManager({}) }),
    problem: `${HCM_PATH}: must have rds or route_config`,
  },
  {
    rule: 'its inline route_config is invalid',
    source: 'A36, A28',
    resource: network({
      name: 'http',
      typed_config: connectionManager({ route_config: { virtual_hosts: [{ name: 'v' }] } }),
    }),
    problem: `${HCM_PATH}.route_config.virtual_hosts[0].domains: must have at least one domain`,
  },
];

const manyRanges = Array.from({ length: 400 }, (_, i) => cidr(`10.${i >> 8}.${i & 255}.0`, 24));

const MATCH_RULES: readonly Rule[] = [
  {
    rule: 'a CIDR range has no IP address',
    source: 'A36',
    resource: chains(chain({ prefix_ranges: [cidr('10.0.0', 8)] })),
    problem: 'filter_chains[0].filter_chain_match.prefix_ranges[0].address_prefix: must be an IP address, got "10.0.0"',
  },
  {
    rule: 'a CIDR range has an empty address',
    source: 'A36',
    resource: chains(chain({ source_prefix_ranges: [{}] })),
    problem: 'filter_chain_match.source_prefix_ranges[0].address_prefix: must be an IP address',
  },
  {
    rule: 'a CIDR range has a zone',
    source: 'A36',
    resource: chains(chain({ source_prefix_ranges: [cidr('fe80::1%eth0', 64)] })),
    problem: 'filter_chain_match.source_prefix_ranges[0].address_prefix: must be an IP address',
  },
  {
    rule: 'source_type is unknown',
    source: 'listener_components.proto',
    resource: chains(chain({ source_type: 7 })),
    problem: 'filter_chain_match.source_type: must be one of ANY',
  },
  {
    rule: 'a source port is out of range',
    source: 'listener_components.proto',
    resource: chains(chain({ source_ports: [80, 0] })),
    problem: 'filter_chain_match.source_ports[1]: must be from 1 to 65535, got 0',
  },
  {
    rule: 'direct_source_prefix_ranges would narrow a match',
    source: 'listener_components.proto',
    resource: chains(chain({ direct_source_prefix_ranges: [cidr('10.0.0.0', 8)] })),
    problem: 'filter_chain_match.direct_source_prefix_ranges: is not supported',
  },
  {
    rule: 'two chains match all connections',
    source: 'A36',
    resource: chains(chain(undefined), chain({})),
    problem:
      'filter_chains[1].filter_chain_match: must be unique, but has the same criteria as filter_chains[0] (gRFC A36)',
  },
  {
    rule: 'the Cartesian products of two matches overlap',
    source: 'A36',
    resource: chains(
      chain({ prefix_ranges: [cidr('10.0.0.0', 8), cidr('::', 0)], source_ports: [1, 2] }),
      chain({ prefix_ranges: [cidr('11.0.0.0', 8), cidr('10.0.0.0', 8)], source_ports: [2, 3] }),
    ),
    problem: 'filter_chains[1].filter_chain_match: must be unique',
  },
  {
    rule: 'two ranges are the same but for bits beyond the prefix',
    source: 'A36',
    resource: chains(chain({ prefix_ranges: [cidr('10.1.2.3', 8)] }), chain({ prefix_ranges: [cidr('10.4.5.6', 8)] })),
    problem: 'filter_chains[1].filter_chain_match: must be unique',
  },
  {
    rule: 'two ranges are the same once prefix_len is brought into its range',
    source: 'A36',
    resource: chains(
      chain({ prefix_ranges: [cidr('10.1.2.3', 32)] }),
      chain({ prefix_ranges: [cidr('10.1.2.3', 99)] }),
    ),
    problem: 'filter_chains[1].filter_chain_match: must be unique',
  },
  {
    rule: 'an absent prefix_len and one of 0 make two ranges the same',
    source: 'A36',
    resource: chains(chain({ prefix_ranges: [cidr('::1')] }), chain({ prefix_ranges: [cidr('::', 0)] })),
    problem: 'filter_chains[1].filter_chain_match: must be unique',
  },
  {
    rule: 'one match has the same range twice',
    source: 'A36',
    resource: chains(chain({ prefix_ranges: [cidr('10.0.0.0', 8), cidr('10.9.9.9', 8)] })),
    problem: 'filter_chains[0].filter_chain_match: must be unique, but has the same criteria more than once',
  },
  {
    rule: 'two chains that never match have the same criteria',
    source: 'A36',
    resource: chains(chain(undefined), chain({ server_names: ['a', 'b'] }), chain({ server_names: ['B'] })),
    problem: 'filter_chains[2].filter_chain_match: must be unique',
  },
  {
    rule: 'a match makes more combinations than can be checked',
    source: 'a bound of our own',
    resource: chains(chain({ prefix_ranges: manyRanges, source_prefix_ranges: manyRanges })),
    problem: 'filter_chains[0].filter_chain_match: must not make more than 100000 combinations',
  },
];

refusesBy('LDS server', decode, LISTENER_RULES);
refusesBy('LDS server', decode, FILTER_RULES);
refusesBy('LDS server', decode, MATCH_RULES);

const ACCEPTED: readonly Leniency[] = [
  {
    rule: 'it has only a default filter chain',
    source: 'A36',
    resource: listenerOf('l', [], { default_filter_chain: chain(undefined) }),
  },
  { rule: 'use_original_dst is false', source: 'A36', resource: listenerWith({ use_original_dst: { value: false } }) },
  {
    rule: 'filter chains have no name',
    source: 'listener_components.proto',
    resource: chains(chain(undefined), chain({ source_ports: [1] })),
  },
  {
    rule: 'IPv4 and IPv6 ranges of length 0 stand beside a match without ranges',
    source: 'A36',
    resource: chains(
      chain(undefined),
      chain({ prefix_ranges: [cidr('0.0.0.0', 0)] }),
      chain({ prefix_ranges: [cidr('::', 0)] }),
    ),
  },
  {
    rule: 'raw_buffer and no transport_protocol stand side by side',
    source: 'A36',
    resource: chains(chain(undefined), chain({ transport_protocol: 'raw_buffer' })),
  },
  {
    rule: 'the default filter chain has the match of another, as its own is not looked at',
    source: 'listener.proto',
    resource: listenerWith({ default_filter_chain: chain({ prefix_ranges: [{}] }) }),
  },
];
acceptsBy('LDS server', decode, ACCEPTED);

describe('a listener for a server', () => {
  test('has an address and its filter chains', () => {
    const common_http_protocol_options = { max_stream_duration: { seconds: 3 } };
    const filters = [httpFilter({ common_http_protocol_options })];
    expect(decode(listenerOf('l', [chain({ source_ports: [7] }, { name: 'seven', filters })]))).toEqual({
      name: 'l',
      address: { host: '0.0.0.0', port: 8080 },
      filterChains: [
        {
          name: 'seven',
          match: { destination: [], sourceType: 'any', source: [], sourcePorts: [7], rawBuffer: false },
          routes: { kind: 'rds', name: 'routes' },
          maxStreamDurationMs: 3_000,
        },
      ],
      defaultFilterChain: undefined,
    });
  });

  test('may carry its routes, with actions that only a server serves', () => {
    const route_config = {
      virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, non_forwarding_action: {} }] }],
    };
    const [found] = decode(
      network({ name: 'http', typed_config: connectionManager({ route_config, http_filters: [routerFilter] }) }),
    ).filterChains;
    expect(found?.routes.kind).toBe('inline');
  });

  test('names a chain without a name by its place', () => {
    const listener = decode(listenerOf('l', [chain(undefined)], { default_filter_chain: chain(undefined) }));
    expect(listener.filterChains[0]?.name).toBe('filter_chains[0]');
    expect(listener.defaultFilterChain?.name).toBe('default_filter_chain');
  });

  test.each<[string, Resource]>([
    ['destination_port', { destination_port: { value: 80 } }],
    ['server_names', { server_names: ['a'] }],
    ['application_protocols', { application_protocols: ['h2'] }],
    ['another transport_protocol than raw_buffer and tls', { transport_protocol: 'quic' }],
  ])('LDS server: a chain with %s never matches and is left out (A36)', (_, match) => {
    const listener = decode(chains(chain(match, { name: 'never' }), chain(undefined, { name: 'kept' })));
    expect(listener.filterChains.map(({ name }) => name)).toEqual(['kept']);
  });

  test('prefers raw_buffer where both are there: the match says so', () => {
    const listener = decode(chains(chain(undefined), chain({ transport_protocol: 'raw_buffer' })));
    expect(listener.filterChains.map(({ match }) => match.rawBuffer)).toEqual([false, true]);
  });

  test('has a chain for TLS beside one for plaintext', () => {
    const both = ['tls', 'raw_buffer'].map((transport_protocol) => chain({ transport_protocol }));
    expect(decode(chains(...both)).filterChains.map(({ match: { tls, rawBuffer } }) => [tls, rawBuffer])).toEqual([
      [true, false],
      [undefined, true],
    ]);
  });

  test('is frozen in depth', () => {
    const listener = decode(chains(chain({ prefix_ranges: [cidr('10.0.0.0', 8)] })));
    expect(Object.isFrozen(listener.filterChains[0]?.match.destination[0])).toBe(true);
  });
});
