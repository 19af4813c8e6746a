import type { Resource } from '../../core/resources.js';
import type { LoadBalancerSpec } from '../yaml/schema/load-balancer.js';
import { localityGroups } from './localities.js';
import { struct, wrapped } from './proto.js';
import type { MeshEndpoint } from './mesh-endpoint.js';
import type { MeshPort } from './services.js';

/** The ClusterLoadAssignment of one port. */
export function loadAssignment(port: MeshPort, balancer: LoadBalancerSpec | undefined): Resource {
  const endpoints = localityGroups(port, balancer?.localityLbSetting).map(
    ({ locality: { region, zone, subZone }, members, weight, priority }) => ({
      locality: {
        ...(region !== '' && { region }),
        ...(zone !== '' && { zone }),
        ...(subZone !== '' && { sub_zone: subZone }),
      },
      lb_endpoints: members.map((member) => lbEndpoint(member, port.dnsName)),
      // "Locality without weight or 0 → skipped" - gRFC A27.
      load_balancing_weight: wrapped(weight),
      ...(priority > 0 && { priority }),
    }),
  );
  const factor = balancer?.overprovisioningFactor;
  return {
    cluster_name: port.resourceName,
    ...(endpoints.length > 0 && { endpoints }),
    ...(factor !== undefined && { policy: { overprovisioning_factor: wrapped(factor) } }),
  };
}

function lbEndpoint(endpoint: MeshEndpoint, dnsName: string | undefined): Resource {
  const { host, port, others, weight, health, hashKey, healthCheck } = endpoint;
  const hostname = endpoint.hostname ?? dnsName;
  const metadata = { ...endpoint.labels, ...(hashKey !== undefined && { hash_key: hashKey }) };
  return {
    endpoint: {
      address: socketAddress(host, port),
      ...(hostname !== undefined && { hostname }),
      ...(healthCheck !== undefined && { health_check_config: healthCheckConfig(healthCheck) }),
      // "Endpoint.additional_addresses" - gRFC A61
      ...(others.length > 0 && {
        additional_addresses: others.map((other) => ({ address: socketAddress(other.host, other.port) })),
      }),
    },
    ...(health !== undefined && { health_status: health }),
    ...(Object.keys(metadata).length > 0 && { metadata: { filter_metadata: { 'envoy.lb': struct(metadata) } } }),
    load_balancing_weight: wrapped(weight),
  };
}

const socketAddress = (address: string, port: number): Resource => ({
  socket_address: { address, port_value: port },
});

const healthCheckConfig = ({ portValue, hostname }: NonNullable<MeshEndpoint['healthCheck']>): Resource => ({
  ...(portValue !== undefined && { port_value: portValue }),
  ...(hostname !== undefined && { hostname }),
});
