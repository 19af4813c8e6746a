import { type Document, type DocumentOf, resourceLabel } from '../yaml/document.js';
import type { Policies } from './backends.js';
import type { References } from './references.js';
import type { MeshService } from './services.js';

type PolicyDocument = Extract<Document, { readonly kind: 'TrafficPolicy' | 'XBackendTrafficPolicy' }>;

/** The policy of each Service that has one; a second of the same kind is reported. */
export function policiesByService<P extends PolicyDocument>(
  policies: readonly P[],
  references: References,
): Map<MeshService, P> {
  const found = new Map<MeshService, P>();
  for (const policy of policies) {
    policy.spec.targetRefs.forEach((target, index) => {
      const at = ['spec', 'targetRefs', index, 'name'];
      const service = references.service(policy, at, policy.namespace, target.name);
      if (service === undefined) return;
      const other = found.get(service);
      if (other === undefined) found.set(service, policy);
      else
        references.report(
          policy,
          at,
          `Service "${target.name}" already has ${policy.kind} "${other.name}": put both into one`,
        );
    });
  }
  return found;
}

const SHARED = ['retryConstraint', 'sessionPersistence'] as const;

/** One policy for each Service, of ours and of the Gateway API's; what both say is reported. */
export function effectivePolicies(
  ours: ReadonlyMap<MeshService, DocumentOf<'TrafficPolicy'>>,
  others: ReadonlyMap<MeshService, DocumentOf<'XBackendTrafficPolicy'>>,
  references: References,
): Policies {
  const found = new Map<MeshService, { spec: DocumentOf<'TrafficPolicy'>['spec'] }>(ours);
  for (const [service, other] of others) {
    const own = ours.get(service);
    for (const field of own === undefined ? [] : SHARED) {
      if (own?.spec[field] === undefined || other.spec[field] === undefined) continue;
      const label = resourceLabel(own.kind, own.namespace, own.name);
      references.report(other, ['spec', field], `${label} has it too, for Service "${service.name}": keep one of them`);
    }
    if (own?.spec.connectionPool?.retryBudget !== undefined && other.spec.retryConstraint !== undefined)
      references.report(
        other,
        ['spec', 'retryConstraint'],
        `cannot be combined with connectionPool.retryBudget of TrafficPolicy "${own.name}": keep one of them`,
      );
    const { retryConstraint, sessionPersistence } = other.spec;
    const added = {
      ...(retryConstraint !== undefined && { retryConstraint }),
      ...(sessionPersistence !== undefined && { sessionPersistence }),
    };
    found.set(service, { spec: { targetRefs: [], ...own?.spec, ...added } });
  }
  return found;
}
