import type { Resource } from '../../../../src/core/resources.js';
import { routeFilters } from './generate-filters.js';
import { adaptiveConcurrency } from './generate-limits.js';
import { routeConfiguration } from './generate-routes.js';
import { any, type Make } from './make.js';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
/** Made anew each time, as all that is made here: mutations go into it. */
const router = (): Resource => ({
  name: 'router',
  typed_config: any('envoy.extensions.filters.http.router.v3.Router'),
});

/** A valid `Listener` of a client that may have every field that its decoder reads. */
export function clientListener(make: Make, name: string): Resource {
  return { name, api_listener: { api_listener: connectionManager(make, 'client') } };
}

function connectionManager(make: Make, side: 'client' | 'server'): Resource {
  return any(HCM, {
    stat_prefix: make.maybe(0.3, () => 's'),
    ...make.any<Resource>(
      () => ({ rds: { route_config_name: make.one('r', 'n'), config_source: make.one({ ads: {} }, { self: {} }) } }),
      () => ({ route_config: routeConfiguration(make, make.one('', 'inline')) }),
    ),
    http_filters: [
      ...make.list(0, 2, (i) => ({
        name: `f${i}`,
        is_optional: true,
        disabled: make.maybe(0.2, () => make.flag()),
        typed_config: make.unknown(),
      })),
      ...(side === 'server'
        ? make.list(0, 1, () => ({ name: 'concurrency', typed_config: adaptiveConcurrency(make) }))
        : []),
      ...routeFilters(make),
      router(),
    ],
    common_http_protocol_options: make.maybe(0.4, () => ({
      max_stream_duration: make.maybe(0.7, () => make.duration()),
      idle_timeout: make.maybe(0.3, () => make.duration()),
    })),
  });
}

const cidr = (make: Make): Resource =>
  make.flag()
    ? { address_prefix: make.ip().includes(':') ? 'fd00::' : '10.1.0.0', prefix_len: { value: make.int(0, 32) } }
    : { address_prefix: '192.168.1.1' };

/** A valid `Listener` of a server (gRFC A36). */
export function serverListener(make: Make, name: string): Resource {
  const count = make.int(1, 2);
  const chain = (match: Resource | undefined, i: number | string): Resource => ({
    name: make.maybe(0.6, () => `chain-${i}`),
    filter_chain_match: match,
    filters: [{ name: 'http', typed_config: connectionManager(make, 'server') }],
  });
  return {
    name,
    address: { socket_address: { address: make.one('0.0.0.0', '127.0.0.1', '::'), port_value: make.int(1, 65_535) } },
    // Told apart by a port of their own, whatever else they have.
    filter_chains: Array.from({ length: count }, (_, i) => chain({ source_ports: [i + 1], ...chainMatch(make) }, i)),
    default_filter_chain: make.maybe(0.8, () => chain(undefined, 'default')) ?? chain({}, 'default'),
  };
}

const chainMatch = (make: Make): Resource => ({
  prefix_ranges: make.maybe(0.4, () => [cidr(make)]),
  source_prefix_ranges: make.maybe(0.4, () => [cidr(make)]),
  source_type: make.maybe(0.4, () => make.one('ANY', 'SAME_IP_OR_LOOPBACK', 'EXTERNAL')),
  transport_protocol: make.maybe(0.3, () => make.one('raw_buffer', '', 'tls')),
  server_names: make.maybe(0.1, () => ['example.com']),
  application_protocols: make.maybe(0.1, () => ['h2']),
  destination_port: make.maybe(0.1, () => ({ value: make.int(1, 65_535) })),
});
