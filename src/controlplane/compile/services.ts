import { isIP } from 'node:net';
import type { DocumentOf } from '../yaml/document.js';
import { addressKey } from '../../core/model/endpoint.js';
import { parseHostPort } from '../yaml/host-port.js';
import type { InlineEndpoint, ServicePortSpec } from '../yaml/schema/service.js';
import { DEFAULT_PORT, localityOf, type MeshEndpoint, NOWHERE, ONLY_PORT, versionLabel } from './mesh-endpoint.js';
import { portResourceName } from './names.js';
import { sliceEndpoints } from './slices.js';

/** One port of a Service: what a route goes to, and what becomes one cluster. */
export interface MeshPort {
  readonly number: number;
  readonly name: string | undefined;
  /** What calls other than gRPC speak. */
  readonly http2: boolean;
  readonly tls: boolean;
  /** Name of its cluster, endpoints and routes. */
  readonly resourceName: string;
  readonly endpoints: readonly MeshEndpoint[];
  /** Where its servers listen, unless endpoints say otherwise. */
  readonly targetPort: number;
  /** The DNS name whose addresses are the endpoints, and that servers expect as Host; undefined for listed endpoints. */
  readonly dnsName: string | undefined;
}

export interface MeshService {
  readonly name: string;
  readonly namespace: string;
  readonly document: DocumentOf<'Service'>;
  readonly ports: readonly MeshPort[];
  /** What a name without port means: port 80 if there is one, else the first. */
  readonly defaultPort: MeshPort | undefined;
  /** Of a ServiceEntry: the names that callers write, in place of those that a Service has. Absent: it is a Service. */
  readonly hosts?: readonly string[] | undefined;
}

/** A Service with the slices that belong to it. */
export function meshService(
  document: DocumentOf<'Service'>,
  slices: readonly DocumentOf<'EndpointSlice'>[],
): MeshService {
  const { name, namespace, spec } = document;
  const specs: readonly ServicePortSpec[] = spec.ports ?? [ONLY_PORT];
  const ports = specs
    .filter((port) => port.protocol === 'TCP')
    .map((port): MeshPort => {
      const dnsName = dnsNameOf(document);
      const listed =
        dnsName === undefined
          ? [...inlineEndpoints(document, port), ...sliceEndpoints(slices, port)]
          : [dnsEndpoint(document, dnsName, port)];
      return {
        number: port.port,
        name: port.name,
        http2: port.appProtocol === 'grpc' || port.appProtocol === 'kubernetes.io/h2c',
        tls: port.appProtocol === 'https',
        resourceName: portResourceName(namespace, name, port.port),
        endpoints: unique(listed),
        targetPort: numericTarget(port),
        dnsName,
      };
    });
  const defaultPort = ports.find((port) => port.number === DEFAULT_PORT) ?? ports[0];
  return { name, namespace, document, ports, defaultPort };
}

function dnsNameOf({ spec }: DocumentOf<'Service'>): string | undefined {
  if (spec.type === 'ExternalName') return spec.externalName;
  return spec.dns === undefined ? undefined : parseHostPort(spec.dns)?.host;
}

/** `dns` brings its own port; behind an ExternalName the port is the one that callers name, as Kubernetes has it. */
function dnsEndpoint({ spec, labels }: DocumentOf<'Service'>, host: string, port: ServicePortSpec): MeshEndpoint {
  const number = spec.dns === undefined ? numericTarget(port) : (parseHostPort(spec.dns)?.port ?? port.port);
  return {
    host,
    port: number,
    others: [],
    weight: 1,
    locality: NOWHERE,
    health: undefined,
    labels: versionLabel(labels),
  };
}

const numericTarget = (port: ServicePortSpec): number =>
  typeof port.targetPort === 'number' ? port.targetPort : port.port;

function inlineEndpoints({ spec, labels }: DocumentOf<'Service'>, port: ServicePortSpec): MeshEndpoint[] {
  return (spec.endpoints ?? []).flatMap((given) => {
    const endpoint: InlineEndpoint = typeof given === 'string' ? { address: given, weight: 1 } : given;
    const address = parseHostPort(endpoint.address);
    if (address === undefined) return [];
    const named = port.name === undefined ? undefined : endpoint.ports?.[port.name];
    return {
      host: address.host,
      port: named ?? address.port ?? numericTarget(port),
      others: (endpoint.additionalAddresses ?? []).flatMap((text) => {
        const other = parseHostPort(text);
        return other === undefined ? [] : [{ host: other.host, port: named ?? other.port ?? numericTarget(port) }];
      }),
      weight: endpoint.weight,
      locality: localityOf(endpoint.zone, endpoint.locality),
      health: endpoint.health,
      hostname: endpoint.hostname,
      hashKey: endpoint.hashKey,
      healthCheck: endpoint.healthCheckConfig,
      labels: {
        ...versionLabel(labels),
        ...endpoint.labels,
        ...(endpoint.version !== undefined && { version: endpoint.version }),
      },
    };
  });
}

/** "the same address twice in a cluster" is refused by gRPC (A27); Kubernetes allows it across slices. A live one wins. */
function unique(endpoints: readonly MeshEndpoint[]): MeshEndpoint[] {
  const byAddress = new Map<string, MeshEndpoint>();
  for (const endpoint of endpoints) {
    const key = addressKey(endpoint);
    const known = byAddress.get(key);
    if (known === undefined || (known.health === 'DRAINING' && endpoint.health !== 'DRAINING'))
      byAddress.set(key, endpoint);
  }
  const taken = new Set(byAddress.keys());
  const found = [...byAddress.values()];
  // With a name among them, of a slice, they are resolved by DNS, where endpoints have no other addresses.
  const named = found.some(({ host }) => isIP(host) === 0);
  return found.map((endpoint) => {
    if (named) return endpoint.others.length === 0 ? endpoint : { ...endpoint, others: [] };
    const others = endpoint.others.filter((other) => !taken.has(addressKey(other)));
    for (const other of others) taken.add(addressKey(other));
    return others.length === endpoint.others.length ? endpoint : { ...endpoint, others };
  });
}
