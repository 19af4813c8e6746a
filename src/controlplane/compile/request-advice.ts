import type { DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { References } from './references.js';
import type { AttachedPolicies, RequestPolicy } from './request-policies.js';

type Limits = DocumentOf<'RateLimitPolicy'> | DocumentOf<'QuotaPolicy'>;

/** What policies of requests say that is valid, and surely not as meant. */
export function adviseRequests(
  limits: readonly Limits[],
  attached: readonly AttachedPolicies<RequestPolicy>[],
  references: References,
): void {
  for (const policy of limits) adviseClaims(policy, references);
  for (const { services } of attached) {
    for (const [service, policies] of services) {
      if (service.ports.every(({ dnsName }) => dnsName === undefined)) continue;
      for (const policy of policies.filter(({ spec }) => spec.side === 'server')) {
        const message = `Service "${service.name}" is a DNS name, whose servers are not in the mesh and see to nothing: say client`;
        references.report(policy, ['spec', 'side'], message);
      }
    }
  }
}

/** Tokens are verified where requests arrive. */
function adviseClaims(policy: Limits, references: References): void {
  if (policy.spec.side === 'server') return;
  for (const path of claimPaths(policy))
    references.report(policy, path, 'is known to servers alone, so that every request lacks it: say "side: server"');
}

function claimPaths(policy: Limits): Path[] {
  if (policy.kind === 'RateLimitPolicy')
    return policy.spec.limits.flatMap(({ key }, rule) =>
      key.flatMap(({ claim }, index) => (claim === undefined ? [] : [['spec', 'limits', rule, 'key', index, 'claim']])),
    );
  const { subject, plan } = policy.spec;
  return [
    ...subject.flatMap(({ claim }, index) => (claim === undefined ? [] : [['spec', 'subject', index, 'claim']])),
    ...(plan?.claim === undefined ? [] : [['spec', 'plan', 'claim']]),
  ];
}
