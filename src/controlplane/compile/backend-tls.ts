import type { DocumentOf } from '../yaml/document.js';
import { resourceLabel } from '../yaml/document.js';
import type { References } from './references.js';
import type { MeshPort, MeshService } from './services.js';

type Policy = DocumentOf<'BackendTLSPolicy'>;

/**
 * The BackendTLSPolicy of each port that has one: "a policy with a sectionName takes precedence" over one for the whole Service (GEP-1897). Two that are as
 * specific are reported.
 */
export function backendTlsByPort(policies: readonly Policy[], references: References): ReadonlyMap<MeshPort, Policy> {
  const whole = new Map<MeshPort, Policy>();
  const named = new Map<MeshPort, Policy>();
  for (const policy of policies) {
    policy.spec.targetRefs.forEach(({ name, sectionName }, index) => {
      const at = ['spec', 'targetRefs', index];
      const service = references.service(policy, [...at, 'name'], policy.namespace, name);
      if (service === undefined) return;
      const found = sectionName === undefined ? whole : named;
      for (const port of portsNamed(policy, [...at, 'sectionName'], sectionName, service, references)) {
        const other = found.get(port);
        if (other === undefined) found.set(port, policy);
        else if (other !== policy)
          references.report(
            policy,
            [...at, 'name'],
            `port ${port.number} of Service "${name}" already has ${resourceLabel(other.kind, other.namespace, other.name)}: keep one`,
          );
      }
    });
  }
  return new Map([...whole, ...named]);
}

function portsNamed(
  policy: Policy,
  at: readonly (string | number)[],
  name: string | undefined,
  { name: service, ports }: MeshService,
  references: References,
): readonly MeshPort[] {
  if (name === undefined) return ports;
  const found = ports.filter((port) => port.name === name);
  const known = ports.flatMap((port) => port.name ?? []).join(', ') || 'none';
  if (found.length === 0)
    references.report(policy, at, `Service "${service}" has no port named "${name}"; it has: ${known}`, {
      expected: known,
    });
  return found;
}
