import { workloadId } from '../../core/identity.js';
import { type DocumentOf, resourceLabel } from '../yaml/document.js';
import type { TrafficTls } from '../yaml/schema/traffic-tls.js';
import type { MtlsModes } from './mtls-modes.js';
import type { References } from './references.js';
import type { MeshPort, MeshService } from './services.js';
import type { UpstreamSpec } from './tls-context.js';

interface Said {
  readonly modes: MtlsModes;
  readonly trustDomain: string;
  readonly traffic: ReadonlyMap<MeshService, DocumentOf<'TrafficPolicy'>>;
  readonly backend: ReadonlyMap<MeshPort, DocumentOf<'BackendTLSPolicy'>>;
}

/**
 * TLS of those who call a port, undefined for plaintext. What a TrafficPolicy or a BackendTLSPolicy says goes before the port's `https`, and that before
 * mTLS by mode: with `strict` callers use it, with `permissive` they stay as they were until somebody says so.
 */
export function callersTls(service: MeshService, port: MeshPort, said: Said): UpstreamSpec | undefined {
  const own = said.traffic.get(service)?.spec.tls;
  if (own !== undefined) return trafficTls(own, service, port, said.trustDomain);
  const validation = said.backend.get(port)?.spec.validation;
  if (validation !== undefined) {
    const { hostname, subjectAltNames } = validation;
    const names = subjectAltNames?.flatMap((name) => (name.type === 'URI' ? name.uri : name.hostname) ?? []);
    return { mutual: false, sni: hostname, names: names ?? [hostname] };
  }
  const host = port.dnsName ?? service.hosts?.[0];
  if (port.tls && host !== undefined) return simple(host);
  return said.modes.of(service, port) === 'strict' ? mutual(service, said.trustDomain) : undefined;
}

const simple = (sni: string): UpstreamSpec => ({ mutual: false, sni, names: [sni] });

const mutual = ({ namespace, name }: MeshService, trustDomain: string): UpstreamSpec => ({
  mutual: true,
  names: [workloadId(trustDomain, namespace, name)],
});

function trafficTls(
  { mode, sni, subjectAltNames }: TrafficTls,
  service: MeshService,
  port: MeshPort,
  trustDomain: string,
): UpstreamSpec | undefined {
  if (mode === 'disabled') return undefined;
  const names = subjectAltNames;
  if (mode === 'mutual') {
    const spec = mutual(service, trustDomain);
    return { ...spec, sni, names: names ?? spec.names };
  }
  const server = sni ?? port.dnsName ?? service.hosts?.[0];
  if (server !== undefined) return { ...simple(server), ...(names !== undefined && { names }) };
  return { mutual: false, sniFromHost: true, names: names ?? [] };
}

/** What cannot be: two words about the same calls, and a server that would be verified for no name at all. */
export function checkCallersTls(
  services: readonly MeshService[],
  { traffic, backend }: Pick<Said, 'traffic' | 'backend'>,
  references: References,
): void {
  for (const service of services) {
    const policy = traffic.get(service);
    const tls = policy?.spec.tls;
    if (policy === undefined || tls === undefined) continue;
    for (const port of service.ports) {
      const other = backend.get(port);
      if (other !== undefined)
        references.report(
          other,
          ['spec', 'validation'],
          `${resourceLabel(policy.kind, policy.namespace, policy.name)} has tls for Service "${service.name}" too: keep one of them`,
        );
      if (tls.mode !== 'simple' || (tls.sni ?? port.dnsName ?? service.hosts?.[0]) !== undefined) continue;
      if (port.endpoints.some(({ hostname }) => hostname === undefined))
        references.report(
          policy,
          ['spec', 'tls'],
          `"simple" needs sni, as Service "${service.name}" has endpoints without a hostname: there is no name to verify`,
          { expected: 'sni' },
        );
    }
  }
}

/** What works in itself, and will be refused by the other side. */
export function adviseCallersTls(services: readonly MeshService[], said: Said, references: References): void {
  for (const service of services) {
    const modes = new Set(service.ports.map((port) => said.modes.of(service, port)));
    const policy = said.traffic.get(service);
    const tls = policy?.spec.tls;
    if (policy !== undefined && tls !== undefined) {
      const whose = `Service "${service.name}"`;
      if (tls.mode !== 'mutual' && modes.has('strict'))
        references.report(
          policy,
          ['spec', 'tls', 'mode'],
          `servers of ${whose} have mTLS strict and will refuse these calls: write mutual`,
        );
      if (tls.mode === 'mutual' && modes.has('disabled'))
        references.report(
          policy,
          ['spec', 'tls', 'mode'],
          `servers of ${whose} have no mTLS and may not understand: give it "mtls: permissive"`,
        );
    }
    for (const port of service.ports) {
      const other = said.backend.get(port);
      if (other !== undefined && said.modes.of(service, port) === 'strict')
        references.report(
          other,
          ['spec', 'validation'],
          `servers of Service "${service.name}" have mTLS strict and will refuse calls without the mesh's identity: remove one of them`,
        );
    }
  }
}
