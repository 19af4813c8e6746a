import type { Document } from '../yaml/document.js';
import type { Path, Problems } from '../yaml/problem.js';
import type { SalvagedDocument } from '../yaml/read.js';
import { resolveBackends } from './backends.js';
import { parentPorts, type RouteDocument } from './parents.js';
import type { References } from './references.js';
import type { RequestPolicy } from './request-policies.js';
import { routeNamed, rulesNamed } from './route-policies.js';

const isRoute = (document: Document): document is RouteDocument =>
  document.kind === 'HTTPRoute' || document.kind === 'GRPCRoute';

/**
 * Looks at the references of resources that have other mistakes, so that all is told at once: what they name must be there. Nothing is said of an entry that
 * has been complained of, nor of the rules of a route whose names are not sure.
 */
export function checkSalvaged(
  salvaged: readonly SalvagedDocument[],
  documents: readonly Document[],
  references: References,
  problems: Problems,
): void {
  const routes = [...documents, ...salvaged.map(({ document }) => document)].filter(isRoute);
  const doubtful = new Set(salvaged.filter(({ removed }) => removed.some(mayBeName)).map(({ document }) => document));
  for (const { document, reported } of salvaged) {
    const own = references.unless(problems, (path) => reported.some((other) => isIn(other, path.slice(0, -1))));
    checkReferences(document, own, routes, doubtful);
  }
  const wrongRoutes = new Set<Document>(salvaged.map(({ document }) => document));
  for (const document of documents) {
    if (!hasRouteTargets(document)) continue;
    // What it says of routes without mistakes has been looked at.
    const wrong = routes.filter((route) => wrongRoutes.has(route));
    checkRules(document, references, wrong, doubtful, () => {});
  }
}

function checkReferences(
  document: Document,
  references: References,
  routes: readonly RouteDocument[],
  doubtful: ReadonlySet<Document>,
): void {
  const { namespace } = document;
  if (
    document.kind === 'TrafficPolicy' ||
    document.kind === 'XBackendTrafficPolicy' ||
    document.kind === 'AuthenticationPolicy' ||
    document.kind === 'BackendTLSPolicy'
  ) {
    document.spec.targetRefs?.forEach(({ name }, index) => {
      references.service(document, ['spec', 'targetRefs', index, 'name'], namespace, name);
    });
  }
  if (document.kind === 'TrafficPolicy') {
    document.spec.fallback?.forEach(({ service }, index) => {
      if (service !== undefined) references.backend(document, ['spec', 'fallback', index, 'service'], service);
    });
  }
  if (isRoute(document)) {
    document.spec.parentRefs.forEach((_, index) => {
      parentPorts(document, index, references);
    });
    resolveBackends([document], references, new Map());
  }
  if (document.kind === 'RateLimitPolicy') {
    document.spec.limits.forEach(({ store }, index) => {
      const at = ['spec', 'limits', index, 'store', 'rateLimitService'];
      if (store?.rateLimitService !== undefined) references.backend(document, at, store.rateLimitService);
    });
  }
  if (hasRouteTargets(document))
    checkRules(document, references, routes, doubtful, ({ kind, name }, path) => {
      if (kind === 'Service') references.service(document, path, namespace, name);
      else routeNamed(document, path, { kind, name }, routes, references);
    });
}

type RoutePolicy = Extract<Document, { readonly kind: 'RoutePolicy' }> | RequestPolicy;
type TargetRef = NonNullable<RoutePolicy['spec']['targetRefs']>[number];

const ROUTE_POLICIES: readonly string[] = [
  'RoutePolicy',
  'RateLimitPolicy',
  'QuotaPolicy',
  'FaultPolicy',
  'AuthorizationPolicy',
];
const hasRouteTargets = (document: Document): document is RoutePolicy => ROUTE_POLICIES.includes(document.kind);

function checkRules(
  policy: RoutePolicy,
  references: References,
  routes: readonly RouteDocument[],
  doubtful: ReadonlySet<Document>,
  missing: (target: TargetRef, path: Path) => void,
): void {
  policy.spec.targetRefs?.forEach((target: TargetRef, index: number) => {
    const at = ['spec', 'targetRefs', index];
    const route = routes.find(
      (it) => it.kind === target.kind && it.name === target.name && it.namespace === policy.namespace,
    );
    if (route === undefined) missing(target, [...at, 'name']);
    else if (!doubtful.has(route)) rulesNamed(policy, [...at, 'sectionName'], target, route, references);
  });
}

/** Whether a field that was taken out may have held, or been meant to be, the name of a rule. */
const mayBeName = (path: Path): boolean => path[1] === 'rules' && path.length <= 4;

const isIn = (path: Path, container: Path): boolean => container.every((step, index) => path[index] === step);
