import type { DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { LimitKeySpec } from '../yaml/schema/limit.js';
import type { References } from './references.js';
import type { AttachedPolicies, RequestPolicy } from './request-policies.js';

type Limits = DocumentOf<'RateLimitPolicy'> | DocumentOf<'QuotaPolicy'>;

/** What policies of requests say that is valid, and surely not as meant. */
export function adviseRequests(
  limits: readonly Limits[],
  attached: readonly AttachedPolicies<Exclude<RequestPolicy, { readonly kind: 'AuthorizationPolicy' }>>[],
  references: References,
): void {
  for (const policy of limits.filter(({ spec }) => spec.side !== 'server')) adviseCallers(policy, references);
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

/** Who calls is found out where requests arrive: tokens are verified there, and the application's middleware says who it is (`caller`). */
function adviseCallers(policy: Limits, references: References): void {
  for (const path of callerPaths(policy))
    references.report(policy, path, 'is known to servers alone, so that every request lacks it: say "side: server"');
}

function callerPaths(policy: Limits): Path[] {
  if (policy.kind === 'RateLimitPolicy')
    return policy.spec.limits.flatMap(({ key }, rule) => inKey(key, ['spec', 'limits', rule, 'key']));
  const { subject, plan } = policy.spec;
  return [...inKey(subject, ['spec', 'subject']), ...(plan?.claim === undefined ? [] : [['spec', 'plan', 'claim']])];
}

const inKey = (key: readonly LimitKeySpec[], at: Path): Path[] =>
  key.flatMap((entry, index) =>
    (['claim', 'identity'] as const).filter((kind) => entry[kind] !== undefined).map((kind) => [...at, index, kind]),
  );
