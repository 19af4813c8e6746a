import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import type { HttpMatch } from '../yaml/schema/http-route.js';
import type { HttpFilter, Timeouts } from '../yaml/schema/route.js';
import { type Backend, type Backends, clusterSpecifier, danglingShare } from './backends.js';
import { headerFields, pathFields, redirectAction } from './filters.js';
import { type CompiledMatch, grpcMatch, httpMatches } from './matches.js';
import type { Attachments, RouteDocument } from './parents.js';
import { compareMatches, grpcSpecificity, httpSpecificity, type Origin, type Specificity } from './precedence.js';
import { type RetrySpec, requestTimeout, retryPolicy } from './retry.js';
import type { MeshPort } from './services.js';

type BackendsByRoute = ReadonlyMap<RouteDocument, readonly Backends[]>;
const NONE: Backends = { valid: [], danglingWeight: 0 };

interface Candidate {
  readonly specificity: Specificity;
  readonly origin: Origin;
  readonly routes: readonly Resource[];
}

/** The routes of one port in order of precedence: the first that matches wins. Without any attached, all goes to the port itself. */
export function routesOf(port: MeshPort, attachments: Attachments, backends: BackendsByRoute): Resource[] {
  const candidates: Candidate[] = [
    ...(attachments.grpc.get(port) ?? []).flatMap((route) => grpcCandidates(route, port, backends)),
    ...(attachments.http.get(port) ?? []).flatMap((route) => httpCandidates(route, port, backends)),
  ];
  if (!attachments.grpc.has(port) && !attachments.http.has(port)) return [defaultRoute(port)];
  return candidates.sort(compareMatches).flatMap((candidate) => candidate.routes);
}

function defaultRoute(port: MeshPort): Resource {
  const backend: Backend = { port, weight: 1, filters: [] };
  return {
    name: 'default',
    match: { prefix: '/' },
    route: { ...clusterSpecifier([backend]), ...hostFields([], [backend]) },
  };
}

/** "If no matches are specified, the default is a prefix path match on /" - HTTPRouteRule. */
const EVERY_REQUEST: HttpMatch = { path: { type: 'PathPrefix', value: '/' } };

function httpCandidates(route: DocumentOf<'HTTPRoute'>, port: MeshPort, backends: BackendsByRoute): Candidate[] {
  return route.spec.rules.flatMap((rule, index) => {
    const target = {
      name: nameOf(route, index),
      port,
      rule,
      backends: backends.get(route)?.[index] ?? NONE,
      failure: 500,
    };
    return (rule.matches.length > 0 ? rule.matches : [EVERY_REQUEST]).map((match, number) => ({
      specificity: httpSpecificity(match),
      origin: originOf(route, index, number),
      routes: httpMatches(match).flatMap((compiled) => compileRoute(compiled, target)),
    }));
  });
}

function grpcCandidates(route: DocumentOf<'GRPCRoute'>, port: MeshPort, backends: BackendsByRoute): Candidate[] {
  return route.spec.rules.flatMap((rule, index) => {
    // "an UNAVAILABLE status" - GRPCRouteRule; 503 is what becomes one (grpc/doc/http-grpc-status-mapping.md).
    const target = {
      name: nameOf(route, index),
      port,
      rule,
      backends: backends.get(route)?.[index] ?? NONE,
      failure: 503,
    };
    return (rule.matches.length > 0 ? rule.matches : [{}]).map((match, number) => ({
      specificity: grpcSpecificity(match),
      origin: originOf(route, index, number),
      routes: compileRoute(grpcMatch(match), target),
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

/** A rule as it is for every one of its matches. */
interface Target {
  readonly name: string;
  readonly port: MeshPort;
  readonly rule: {
    readonly filters: readonly Partial<HttpFilter>[];
    readonly timeouts?: Timeouts | undefined;
    readonly retry?: RetrySpec | undefined;
  };
  readonly backends: Backends;
  /** HTTP status when there is no backend to go to. */
  readonly failure: number;
}

/** One route; two when a share of the traffic has nowhere to go. */
function compileRoute(compiled: CompiledMatch, { name, port, rule, backends, failure }: Target): Resource[] {
  const [first, ...others] = backends.valid;
  // Of a single backend the filters are those of the route.
  const filters = first !== undefined && others.length === 0 ? [...rule.filters, ...first.filters] : rule.filters;
  const { match } = compiled;
  const headers = headerFields(rule.filters);
  const redirect = redirectAction(filters, compiled, port);
  if (redirect !== undefined) return [{ name, match, redirect, ...headers }];
  // "If all entries in BackendRefs are invalid … all traffic which matches this rule MUST receive a 500" - HTTPRouteRule.
  const fail = (share: Resource): Resource => ({
    name,
    match: share,
    direct_response: { status: failure },
    ...headers,
  });
  if (first === undefined) return [fail(match)];
  const retry_policy = retryPolicy(rule.retry, rule.timeouts);
  const forward = {
    name,
    match,
    route: {
      ...clusterSpecifier([first, ...others]),
      ...hostFields(filters, backends.valid),
      ...pathFields(filters, compiled),
      ...requestTimeout(rule.timeouts),
      ...(retry_policy !== undefined && { retry_policy }),
    },
    ...headers,
  };
  return backends.danglingWeight === 0 ? [forward] : [fail(danglingShare(match, backends)), forward];
}

/** A server behind a DNS name expects that name as Host, unless URLRewrite says another. */
function hostFields(filters: Target['rule']['filters'], backends: readonly Backend[]): Resource {
  const hostname = filters.find((filter) => filter.urlRewrite?.hostname !== undefined)?.urlRewrite?.hostname;
  if (hostname !== undefined) return { host_rewrite_literal: hostname };
  return backends.some(({ port }) => port.dnsName !== undefined) ? { auto_host_rewrite: { value: true } } : {};
}
