import type { DocumentOf } from '../yaml/document.js';
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
  }
  return { services, rules };
}

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
