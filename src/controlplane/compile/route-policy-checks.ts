import type { DocumentOf } from '../yaml/document.js';
import type { Backends } from './backends.js';
import type { RouteDocument } from './parents.js';
import type { References } from './references.js';

type Policy = DocumentOf<'RoutePolicy'>;
type Rule = RouteDocument['spec']['rules'][number];

/** What a policy needs of the rule that it is for, and of its backends. */
export function checkAgainstRule(
  policy: Policy,
  rule: Rule,
  { valid, danglingWeight }: Backends,
  references: References,
): void {
  checkSubset(policy, valid, references);
  const { hedge, retry, strictSession, mirror } = policy.spec;
  if (hedge?.onPerTryTimeout === true && !rule.timeouts?.backendRequest)
    references.report(policy, ['spec', 'hedge', 'onPerTryTimeout'], 'needs timeouts.backendRequest of the rule');
  if (retry !== undefined && rule.retry?.attempts === 0)
    references.report(policy, ['spec', 'retry'], 'means nothing for a rule with "retry: { attempts: 0 }": remove one');
  // What a backend that is not there, or not permitted, would have nobody knows: to take a grant back is no mistake.
  const hasSession =
    rule.sessionPersistence !== undefined ||
    danglingWeight > 0 ||
    valid.some(({ policy: traffic }) => traffic?.sessionPersistence);
  if (strictSession !== undefined && !hasSession)
    references.report(
      policy,
      ['spec', 'strictSession'],
      'needs sessionPersistence of the rule, or of the TrafficPolicy of its backends',
    );
  const mirrors = [...rule.filters, ...(rule.backendRefs.length === 1 ? (rule.backendRefs[0]?.filters ?? []) : [])];
  if (mirror !== undefined && !mirrors.some(({ type }) => type === 'RequestMirror'))
    references.report(policy, ['spec', 'mirror'], 'needs a filter of type RequestMirror in the rule');
}

/** A subset that a cluster does not know is no condition to its clients, and the call would go anywhere. */
function checkSubset(policy: Policy, backends: Backends['valid'], references: References): void {
  const { subset } = policy.spec;
  if (subset === undefined) return;
  const names = Object.keys(subset).sort();
  const keysOf = (labels: Readonly<Record<string, string>>): string => JSON.stringify(Object.keys(labels).sort());
  for (const { port, policy: traffic } of backends) {
    if (traffic?.subsets?.some(({ labels }) => keysOf(labels) === JSON.stringify(names))) continue;
    const message = `${port.resourceName} has no subsets by ${names.join(', ')}: give its TrafficPolicy one with such labels`;
    references.report(policy, ['spec', 'subset'], message);
  }
}
