import type { Resource } from '../../core/resources.js';
import { struct, wrapped } from './proto.js';
import type { MeshEndpoint, MeshPort } from './services.js';

/** The ClusterLoadAssignment of one port: a locality per zone, in the order in which zones first appear. */
export function loadAssignment(port: MeshPort): Resource {
  const zones = new Map<string, MeshEndpoint[]>();
  for (const endpoint of port.endpoints) {
    const others = zones.get(endpoint.zone);
    if (others === undefined) zones.set(endpoint.zone, [endpoint]);
    else others.push(endpoint);
  }
  const endpoints = [...zones].map(([zone, members]) => ({
    locality: zone === '' ? {} : { zone },
    lb_endpoints: members.map((member) => lbEndpoint(member, port.dnsName)),
    // "Locality without weight or 0 → skipped" - gRFC A27. In proportion to what is in it, so that zones change no share.
    load_balancing_weight: wrapped(members.reduce((sum, member) => sum + member.weight, 0)),
  }));
  return { cluster_name: port.resourceName, ...(endpoints.length > 0 && { endpoints }) };
}

function lbEndpoint(endpoint: MeshEndpoint, dnsName: string | undefined): Resource {
  const { host, port, weight, draining, labels } = endpoint;
  return {
    endpoint: {
      address: { socket_address: { address: host, port_value: port } },
      ...(dnsName !== undefined && { hostname: dnsName }),
    },
    ...(draining && { health_status: 'DRAINING' }),
    ...(Object.keys(labels).length > 0 && { metadata: { filter_metadata: { 'envoy.lb': struct(labels) } } }),
    load_balancing_weight: wrapped(weight),
  };
}
