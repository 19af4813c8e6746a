import { claimPath } from '../../core/claims.js';
import type { DocumentOf } from '../yaml/document.js';
import type { Path } from '../yaml/problem.js';
import type { RouteDocument } from './parents.js';
import type { References } from './references.js';
import { routeNamed, rulesNamed } from './route-policies.js';
import type { MeshService } from './services.js';

/** Policies that meet requests by the Service or the route that these go to. */
export type RequestPolicy =
  | DocumentOf<'RateLimitPolicy'>
  | DocumentOf<'QuotaPolicy'>
  | DocumentOf<'FaultPolicy'>
  | DocumentOf<'AuthorizationPolicy'>;

/** A rule of a route. */
export interface RuleRef {
  readonly route: RouteDocument;
  readonly rule: number;
}

/** Which policies meet which requests, each list with the most specific first. */
export interface AttachedPolicies<P extends RequestPolicy> {
  readonly services: ReadonlyMap<MeshService, readonly P[]>;
  readonly rules: ReadonlyMap<RouteDocument, ReadonlyMap<number, readonly P[]>>;
}

/** Finds what policies are for; what is not there is reported. */
export function attachPolicies<P extends RequestPolicy>(
  policies: readonly P[],
  routes: readonly RouteDocument[],
  references: References,
): AttachedPolicies<P> {
  const services = new Map<MeshService, P[]>();
  const rules = new Map<RouteDocument, Map<number, P[]>>();
  for (const { policy, target, at } of targetsOf(policies)) {
    const { kind, name } = target;
    if (kind === 'Service') {
      const service = references.service(policy, [...at, 'name'], policy.namespace, name);
      if (service !== undefined) services.set(service, added(services.get(service), policy));
      continue;
    }
    const route = routeNamed(policy, [...at, 'name'], { kind, name }, routes, references);
    if (route === undefined) continue;
    const ofRoute = rules.get(route) ?? new Map<number, P[]>();
    rules.set(route, ofRoute);
    const named = rulesNamed(policy, [...at, 'sectionName'], target, route, references);
    for (const rule of named) ofRoute.set(rule, added(ofRoute.get(rule), policy));
    checkClaims(policy, at, route, named, references);
  }
  return { services, rules };
}

/** Servers choose the route before they verify tokens: what is for a rule that matches by claims would never be asked there, and what a policy forbids let through. */
function checkClaims(
  policy: RequestPolicy,
  at: Path,
  route: RouteDocument,
  rules: readonly number[],
  references: References,
): void {
  if (policy.kind !== 'AuthorizationPolicy' && policy.spec.side !== 'server') return;
  const byClaims = rules.find((rule) =>
    route.spec.rules[rule]?.matches?.some(({ headers }) => headers?.some(({ name }) => claimPath(name) !== undefined)),
  );
  if (byClaims === undefined) return;
  const instead = INSTEAD[policy.kind];
  const message = `would not hold at servers, which choose the route before tokens are verified, for spec.rules[${byClaims}] of ${route.kind} "${route.name}", which matches by claims: target ${instead}`;
  references.report(policy, at, message, { expected: 'a rule that does not match by claims' });
}

const INSTEAD: Readonly<Record<RequestPolicy['kind'], string>> = {
  AuthorizationPolicy:
    'the Service, and go by claims in the policy (when: [{ key: "request.auth.claims[name]", values: [...] }])',
  RateLimitPolicy: 'the Service, and count by claims (key: [{ claim: name }])',
  QuotaPolicy: 'the Service, and count by claims (subject: [{ claim: name }])',
  FaultPolicy: 'the Service, or rules that do not match by claims',
};

/** Those that name a rule go first. */
function targetsOf<P extends RequestPolicy>(policies: readonly P[]) {
  const all = policies.flatMap((policy) =>
    (policy.spec.targetRefs ?? []).map((target, index) => ({ policy, target, at: ['spec', 'targetRefs', index] })),
  );
  const named = all.filter(({ target }) => target.sectionName !== undefined);
  return [...named, ...all.filter(({ target }) => target.sectionName === undefined)];
}

const added = <P>(list: P[] = [], policy: P): P[] => (list.includes(policy) ? list : [...list, policy]);

/** The policies of requests that a rule matches, of its route and of the Service: all of them, each once. */
export function policiesOf<P extends RequestPolicy>(
  { services, rules }: AttachedPolicies<P>,
  service: MeshService,
  at: RuleRef | undefined,
): P[] {
  const own = at === undefined ? [] : (rules.get(at.route)?.get(at.rule) ?? []);
  return [...new Set([...own, ...(services.get(service) ?? [])])];
}
