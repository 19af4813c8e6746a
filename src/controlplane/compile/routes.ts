import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { HttpFilter, Timeouts } from '../yaml/schema/route.js';
import { type Backend, backendsOf, clusterSpecifier } from './backends.js';
import { headerFields, redirectAction, rewriteFields } from './filters.js';
import { type CompiledMatch, grpcMatch, httpMatches } from './matches.js';
import type { Attachments, RouteDocument } from './parents.js';
import { compareMatches, grpcSpecificity, httpSpecificity, type Origin, type Specificity } from './precedence.js';
import type { References } from './references.js';
import { type RetrySpec, requestTimeout, retryPolicy } from './retry.js';
import type { MeshPort } from './services.js';

interface Candidate {
  readonly specificity: Specificity;
  readonly origin: Origin;
  readonly routes: readonly Resource[];
}

/** The routes of one port in order of precedence: the first that matches wins. Without any attached, all goes to the port itself. */
export function routesOf(port: MeshPort, attachments: Attachments, references: References): Resource[] {
  const candidates: Candidate[] = [
    ...(attachments.grpc.get(port) ?? []).flatMap((route) => grpcCandidates(route, port, references)),
    ...(attachments.http.get(port) ?? []).flatMap((route) => httpCandidates(route, port, references)),
  ];
  if (!attachments.grpc.has(port) && !attachments.http.has(port)) return [defaultRoute(port)];
  return candidates.sort(compareMatches).flatMap((candidate) => candidate.routes);
}

function defaultRoute(port: MeshPort): Resource {
  const backend: Backend = { port, weight: 1, filters: [] };
  return { name: 'default', match: { prefix: '/' }, route: { ...clusterSpecifier([backend]), ...hostOf([backend]) } };
}

function httpCandidates(route: DocumentOf<'HTTPRoute'>, port: MeshPort, references: References): Candidate[] {
  return route.spec.rules.flatMap((rule, index) => {
    const backends = backendsOf(route, index, references);
    return rule.matches.map((match, number) => ({
      specificity: httpSpecificity(match),
      origin: originOf(route, index, number),
      routes: httpMatches(match).map((compiled) => compileRoute(nameOf(route, index), compiled, rule, backends, port)),
    }));
  });
}

function grpcCandidates(route: DocumentOf<'GRPCRoute'>, port: MeshPort, references: References): Candidate[] {
  return route.spec.rules.flatMap((rule, index) => {
    const backends = backendsOf(route, index, references);
    return rule.matches.map((match, number) => ({
      specificity: grpcSpecificity(match),
      origin: originOf(route, index, number),
      routes: [compileRoute(nameOf(route, index), grpcMatch(match), rule, backends, port)],
    }));
  });
}

const originOf = ({ createdAt, namespace, name }: RouteDocument, rule: number, match: number): Origin => ({
  createdAt,
  namespace,
  name,
  rule,
  match,
});

/** `default/reviews/canary`, or the rule's place when it has no name: what logs and metrics show. */
const nameOf = (route: RouteDocument, rule: number): string =>
  `${route.namespace}/${route.name}/${route.spec.rules[rule]?.name ?? rule}`;

interface Rule {
  readonly filters: readonly Partial<HttpFilter>[];
  readonly timeouts?: Timeouts | undefined;
  readonly retry?: RetrySpec | undefined;
}

function compileRoute(name: string, compiled: CompiledMatch, rule: Rule, backends: readonly Backend[], port: MeshPort): Resource {
  const [first, ...others] = backends;
  // Of a single backend the filters are those of the route.
  const filters = first !== undefined && others.length === 0 ? [...rule.filters, ...first.filters] : rule.filters;
  const { match } = compiled;
  const redirect = redirectAction(filters, compiled, port);
  if (redirect !== undefined) return { name, match, redirect, ...headerFields(rule.filters) };
  // "If all entries in BackendRefs are invalid … all traffic which matches this rule MUST receive a 500" - HTTPRouteRule.
  if (first === undefined) return { name, match, direct_response: { status: 500 } };
  const retry_policy = retryPolicy(rule.retry, rule.timeouts);
  return {
    name,
    match,
    route: {
      ...clusterSpecifier([first, ...others]),
      ...hostOf(backends),
      ...rewriteFields(filters, compiled),
      ...requestTimeout(rule.timeouts),
      ...(retry_policy !== undefined && { retry_policy }),
    },
    ...headerFields(rule.filters),
  };
}

/** A server behind a DNS name expects that name as Host. A `hostname` in URLRewrite takes its place (one oneof in Envoy). */
const hostOf = (backends: readonly Backend[]): Resource =>
  backends.some(({ port }) => port.dnsName !== undefined) ? { auto_host_rewrite: { value: true } } : {};
