import type { DocumentOf } from '../yaml/document.js';
import type { HttpMatch } from '../yaml/schema/http-route.js';
import { type CompiledMatch, grpcMatch, httpMatches } from './matches.js';
import type { Attachments, RouteDocument } from './parents.js';
import { compareMatches, grpcSpecificity, httpSpecificity, type Origin, type Specificity } from './precedence.js';
import { isConditional, type RoutePolicies } from './route-policies.js';
import type { MeshPort } from './services.js';

/** One match of one rule of a route. */
export interface Candidate {
  readonly route: RouteDocument;
  readonly rule: number;
  readonly specificity: Specificity;
  readonly origin: Origin;
  /** What it comes to. */
  readonly matches: readonly CompiledMatch[];
}

/** All matches of the routes of a port in order of precedence: the first that matches wins. Undefined: it has no routes. */
export function candidatesOf(
  port: MeshPort,
  attachments: Attachments,
  policies: RoutePolicies,
): Candidate[] | undefined {
  const grpc = attachments.grpc.get(port);
  const http = attachments.http.get(port);
  if (grpc === undefined && http === undefined) return undefined;
  const found = [
    ...(grpc ?? []).flatMap((route) => grpcCandidates(route, policies)),
    ...(http ?? []).flatMap((route) => httpCandidates(route, policies)),
  ];
  return found.sort(compareMatches);
}

/** "If no matches are specified, the default is a prefix path match on /" - HTTPRouteRule. */
const EVERY_REQUEST: HttpMatch = { path: { type: 'PathPrefix', value: '/' } };

function httpCandidates(route: DocumentOf<'HTTPRoute'>, policies: RoutePolicies): Candidate[] {
  return route.spec.rules.flatMap(({ matches }, rule) =>
    (matches.length > 0 ? matches : [EVERY_REQUEST]).map((match, number) => ({
      route,
      rule,
      specificity: [...httpSpecificity(match), conditional(policies, route, rule)],
      origin: originOf(route, rule, number),
      matches: httpMatches(match),
    })),
  );
}

function grpcCandidates(route: DocumentOf<'GRPCRoute'>, policies: RoutePolicies): Candidate[] {
  return route.spec.rules.flatMap(({ matches }, rule) =>
    (matches.length > 0 ? matches : [{}]).map((match, number) => ({
      route,
      rule,
      specificity: [...grpcSpecificity(match), conditional(policies, route, rule)],
      origin: originOf(route, rule, number),
      matches: [grpcMatch(match)],
    })),
  );
}

const conditional = (policies: RoutePolicies, route: RouteDocument, rule: number): number =>
  isConditional(policies.get(route)?.get(rule)) ? 1 : 0;

const originOf = ({ createdAt, namespace, name }: RouteDocument, rule: number, match: number): Origin => ({
  createdAt,
  namespace,
  name,
  rule,
  match,
});
