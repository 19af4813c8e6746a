import type { DocumentOf } from '../yaml/document.js';
import type { ServiceEntrySpec } from '../yaml/schema/service-entry.js';
import type { ServiceSpec } from '../yaml/schema/service.js';
import { nameForms } from './names.js';
import type { References } from './references.js';
import { type MeshService, meshService } from './services.js';

type Entry = DocumentOf<'ServiceEntry'>;

const APP_PROTOCOLS = { HTTP: 'http', HTTPS: 'https', HTTP2: 'kubernetes.io/h2c', GRPC: 'grpc' } as const;
type EntryPort = NonNullable<ServiceEntrySpec['ports']>[number];
const ONLY_PORT: EntryPort = { number: 80, protocol: 'HTTP' };

/**
 * Services outside of the mesh, as the mesh has its own: so that every policy there is can be for them. One that is called where its name leads has no endpoints
 * of its own, and is none (`registeredHosts`).
 */
export function entryServices(entries: readonly Entry[]): MeshService[] {
  return entries
    .filter(({ spec }) => spec.resolution !== 'NONE')
    .map((entry) => {
      const service = meshService(serviceDocument(entry), []);
      const { hosts } = entry.spec;
      const secure = service.ports.find((port) => port.tls);
      // A name without a port must not lead past TLS: `https://host/` is asked for by the name alone.
      return { ...service, hosts, defaultPort: secure ?? service.defaultPort };
    });
}

function serviceDocument({ namespace, name, labels, createdAt, spec, locate }: Entry): DocumentOf<'Service'> {
  const { hosts, ports = [ONLY_PORT], endpoints, location } = spec;
  const [host = ''] = hosts;
  const external = location === 'MESH_EXTERNAL';
  const common = {
    ports: ports.map(({ number, name: portName, protocol, targetPort }) => ({
      port: number,
      name: portName,
      targetPort,
      protocol: 'TCP' as const,
      appProtocol: APP_PROTOCOLS[protocol],
    })),
    ...(external && { mtls: 'disabled' as const }),
  };
  const where: Pick<ServiceSpec, 'type' | 'externalName' | 'endpoints'> =
    endpoints === undefined
      ? { type: 'ExternalName', externalName: host }
      : {
          type: 'ClusterIP',
          endpoints: endpoints.map(({ address, ports: own, weight, labels: tags, locality }) => ({
            address: address.includes(':') ? `[${address}]` : address,
            hostname: host,
            weight,
            ...(own !== undefined && { ports: own }),
            ...(tags !== undefined && { labels: tags }),
            ...(locality !== undefined && { locality }),
          })),
        };
  return { kind: 'Service', namespace, name, labels, createdAt, spec: { ...common, ...where } as ServiceSpec, locate };
}

/** What has one name for two: callers could not tell which is meant. */
export function checkEntries(
  entries: readonly Entry[],
  services: readonly MeshService[],
  references: References,
): void {
  const own = services.filter(({ hosts }) => hosts === undefined);
  const taken = new Map(
    own.flatMap((service) => nameForms(service, false).map((form) => [form, service.name] as const)),
  );
  const hosts = new Map<string, Entry>();
  for (const entry of entries) {
    if (own.some(({ namespace, name }) => namespace === entry.namespace && name === entry.name))
      references.report(
        entry,
        ['metadata', 'name'],
        `there is a Service "${entry.name}", which policies would mean too: name it otherwise`,
      );
    entry.spec.hosts.forEach((host, index) => {
      const at = ['spec', 'hosts', index];
      const service = taken.get(host);
      if (service !== undefined) references.report(entry, at, `is a name of Service "${service}"`);
      const other = hosts.get(host);
      if (other !== undefined && other !== entry)
        references.report(entry, at, `ServiceEntry "${other.name}" has this host already: keep one`);
      hosts.set(host, entry);
    });
  }
}

/** Hosts that may be called where their own names lead. */
export const registeredHosts = (
  entries: readonly Entry[],
): readonly { readonly hosts: readonly string[]; readonly ports?: readonly number[] }[] =>
  entries
    .filter(({ spec }) => spec.resolution === 'NONE')
    .map(({ spec: { hosts, ports } }) => ({
      hosts,
      ...(ports !== undefined && { ports: ports.map(({ number }) => number) }),
    }));
