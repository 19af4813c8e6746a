import type { Resource } from '../../src/core/resources.js';
import { ads, connectionManager } from './xds-resources.js';

/** Valid resources for servers in their plain shape, to be varied by tests. */

/** A network filter that takes its routes over RDS. */
export const httpFilter = (hcm: Resource = {}): Resource => ({
  name: 'http',
  typed_config: connectionManager({ rds: { config_source: ads, route_config_name: 'routes' }, ...hcm }),
});

export const chain = (filter_chain_match: Resource | undefined, fields: Resource = {}): Resource => ({
  ...(filter_chain_match !== undefined && { filter_chain_match }),
  filters: [httpFilter()],
  ...fields,
});

export const socketAddress = (address: string, port_value: number): Resource => ({
  socket_address: { address, port_value },
});

/** A server's listener with these filter chains. */
export const listenerOf = (name: string, filter_chains: readonly Resource[], fields: Resource = {}): Resource => ({
  name,
  address: socketAddress('0.0.0.0', 8080),
  filter_chains,
  ...fields,
});

/** A server's listener with one chain for all connections. */
export const serverResource = (name: string, hcm: Resource = {}): Resource =>
  listenerOf(name, [chain(undefined, { filters: [httpFilter(hcm)] })]);

export const cidr = (address_prefix: string, prefix_len?: number): Resource => ({
  address_prefix,
  ...(prefix_len !== undefined && { prefix_len: { value: prefix_len } }),
});
