import type { DnsOptions } from '../../core/dns.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Discovery } from '../resources/discovery.js';
import { DnsEndpoints } from './dns-endpoints.js';
import { EdsEndpoints } from './eds-endpoints.js';
import type { EndpointSource } from './endpoint-source.js';
import type { SlotOwner } from './slot.js';

/** The source of endpoints that a cluster asks for. */
export function discover(
  discovery: Exclude<Discovery, { readonly kind: 'aggregate' }>,
  cache: ResourceCache,
  dns: DnsOptions,
  owner: SlotOwner,
): EndpointSource {
  switch (discovery.kind) {
    case 'static':
      return { assignment: discovery.assignment, error: undefined, close() {} };
    case 'eds':
      return new EdsEndpoints(discovery.serviceName, cache, owner);
    default:
      return new DnsEndpoints(discovery, dns, owner);
  }
}
