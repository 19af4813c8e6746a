import type { Resource } from '../../core/resources.js';
import type { GrpcRule } from '../yaml/schema/grpc-route.js';
import type { HttpMatch, HttpRule } from '../yaml/schema/http-route.js';
import type { HttpFilter, Timeouts } from '../yaml/schema/route.js';
import type { RoutePolicySpec } from '../yaml/schema/route-policy.js';
import type { SessionSpec } from '../yaml/schema/session.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { type Backend, type Backends, clusterSpecifier, danglingShare } from './backends.js';
import type { Candidate } from './candidates.js';
import { headerFields, pathFields, redirectAction } from './filters.js';
import { hashPolicies } from './hash-policies.js';
import { withFormats } from './header-formats.js';
import { filterOverrides, type Session } from './http-filters.js';
import type { CompiledMatch } from './matches.js';
import { mirrorPolicies } from './mirrors.js';
import type { RouteDocument } from './parents.js';
import type { RequestFilters } from './request-filters.js';
import { type RetrySpec, requestTimeout } from './retry.js';
import { actionFields, conditions, type RoutePolicies, routeMetadata, subsetFields } from './route-policies.js';
import { routeRetryPolicy } from './route-retry.js';
import type { MeshPort, MeshService } from './services.js';

const NONE: Backends = { valid: [], danglingWeight: 0, mirrors: [] };

/** The routes of one port in order of precedence: the first that matches wins. Without any attached, all goes to the port itself. */
export function routesOf(
  { service, port }: { readonly service: MeshService; readonly port: MeshPort },
  candidates: readonly Candidate[] | undefined,
  { backends, policy, routePolicies, filters }: RouteParts,
): Resource[] {
  if (candidates === undefined) return [defaultRoute(port, policy, filters.overrides('client', service))];
  return candidates.flatMap(({ route, rule, matches }) => {
    const target = {
      ...targetOf(route, rule, backends),
      port,
      policy: routePolicies.get(route)?.get(rule),
      overrides: filters.overrides('client', service, { route, rule }),
    };
    return matches.flatMap((match) => compileRoute(match, target));
  });
}

/** What routes are made with beside their own documents. */
export interface RouteParts {
  readonly backends: ReadonlyMap<RouteDocument, readonly Backends[]>;
  /** Of the Service. */
  readonly policy: TrafficPolicySpec | undefined;
  readonly routePolicies: RoutePolicies;
  readonly filters: RequestFilters;
}

function defaultRoute(port: MeshPort, policy: TrafficPolicySpec | undefined, overrides: Resource): Resource {
  const backend: Backend = { port, weight: 1, filters: [], policy };
  return {
    name: 'default',
    match: { prefix: '/' },
    route: {
      ...clusterSpecifier([backend]),
      ...hostFields([], [backend]),
      ...hashPolicies([policy?.loadBalancer?.consistentHash]),
    },
    ...filterOverrides(undefined, sessionOf(undefined, [backend], port.resourceName, '/'), overrides),
  };
}

function targetOf(route: RouteDocument, rule: number, backends: RouteParts['backends']) {
  const common = { name: nameOf(route, rule), backends: backends.get(route)?.[rule] ?? NONE };
  if (route.kind === 'HTTPRoute') {
    const found = route.spec.rules[rule] as HttpRule;
    return { ...common, rule: found, failure: 500, cookiePath: cookiePath(found.matches) };
  }
  // "an UNAVAILABLE status" - GRPCRouteRule; 503 is what becomes one (grpc/doc/http-grpc-status-mapping.md).
  return { ...common, rule: route.spec.rules[rule] as GrpcRule, failure: 503, cookiePath: '/' };
}

/** `default/reviews/canary`, or the rule's place when it has no name: what logs and metrics show. */
export const nameOf = (route: RouteDocument, rule: number): string =>
  `${route.namespace}/${route.name}/${route.spec.rules[rule]?.name ?? rule}`;

/** A rule as it is for every one of its matches. */
interface Target {
  readonly name: string;
  readonly port: MeshPort;
  readonly rule: {
    readonly filters: readonly Partial<HttpFilter>[];
    readonly timeouts?: Timeouts | undefined;
    readonly retry?: RetrySpec | undefined;
    readonly sessionPersistence?: SessionSpec | undefined;
  };
  /** What the paths have in common that it is for. */
  readonly cookiePath: string;
  readonly policy: RoutePolicySpec | undefined;
  /** What policies of requests say to filters. */
  readonly overrides: Resource;
  readonly backends: Backends;
  /** HTTP status when there is no backend to go to. */
  readonly failure: number;
}

/** One route; two when a share of the traffic has nowhere to go. */
function compileRoute(compiled: CompiledMatch, target: Target): Resource[] {
  const { name, port, rule, backends, failure, policy, overrides } = target;
  const [first, ...others] = backends.valid;
  // Of a single backend the filters are those of the route.
  const filters = first !== undefined && others.length === 0 ? [...rule.filters, ...first.filters] : rule.filters;
  const match = { ...compiled.match, ...conditions(policy) };
  const cors = filters.find((filter) => filter.cors !== undefined)?.cors;
  const session = sessionOf(rule.sessionPersistence, backends.valid, name, target.cookiePath, policy?.strictSession);
  const formats = { request: policy?.requestHeaders, response: policy?.responseHeaders };
  const headers = { ...withFormats(headerFields(rule.filters), formats), ...filterOverrides(cors, session, overrides) };
  const redirect = redirectAction(filters, compiled, port);
  if (redirect !== undefined) return [{ name, match, redirect, ...headers }];
  if (policy?.directResponse !== undefined)
    return [{ name, match, direct_response: directResponse(policy.directResponse), ...headers }];
  // "If all entries in BackendRefs are invalid … all traffic which matches this rule MUST receive a 500" - HTTPRouteRule.
  const fail = (share: Resource): Resource => ({
    name,
    match: share,
    direct_response: { status: failure },
    ...headers,
  });
  if (first === undefined) return [fail(match)];
  const retry_policy = routeRetryPolicy(rule.retry, rule.timeouts, policy?.retry);
  const forward = (rest: Resource): Resource => ({
    name,
    match: rest,
    route: {
      ...clusterSpecifier([first, ...others], policy?.stickyBackends),
      ...hostFields(filters, backends.valid, policy),
      ...(policy?.regexRewrite === undefined
        ? pathFields(filters, compiled)
        : { regex_rewrite: substitute(policy.regexRewrite) }),
      ...subsetFields(policy),
      ...requestTimeout(rule.timeouts),
      ...mirrorPolicies(backends.mirrors, policy?.mirror),
      ...actionFields(policy),
      ...hashPolicies(hashedBy(policy, backends.valid)),
      ...(retry_policy !== undefined && { retry_policy }),
    },
    ...(policy !== undefined && routeMetadata(policy)),
    ...headers,
  });
  if (backends.danglingWeight === 0) return [forward(match)];
  const shares = danglingShare(match, backends);
  return [fail(shares.fail), forward(shares.rest)];
}

const directResponse = ({ status, body }: NonNullable<RoutePolicySpec['directResponse']>): Resource => ({
  status,
  ...(body !== undefined && body !== '' && { body: { inline_string: body } }),
});

const substitute = ({ pattern, substitution }: NonNullable<RoutePolicySpec['regexRewrite']>): Resource => ({
  pattern: { regex: pattern },
  ...(substitution !== '' && { substitution }),
});

const hashedBy = (policy: RoutePolicySpec | undefined, backends: readonly Backend[]) =>
  policy?.consistentHash === undefined
    ? backends.map((backend) => backend.policy?.loadBalancer?.consistentHash)
    : [policy.consistentHash];

/** A server behind a DNS name expects that name as Host, unless URLRewrite says another. */
function hostFields(
  filters: Target['rule']['filters'],
  backends: readonly Backend[],
  policy?: RoutePolicySpec | undefined,
): Resource {
  if (policy?.hostRewriteHeader !== undefined) return { host_rewrite_header: policy.hostRewriteHeader.toLowerCase() };
  if (policy?.hostRewritePathRegex !== undefined)
    return { host_rewrite_path_regex: substitute(policy.hostRewritePathRegex) };
  const hostname = filters.find((filter) => filter.urlRewrite?.hostname !== undefined)?.urlRewrite?.hostname;
  if (hostname !== undefined) return { host_rewrite_literal: hostname };
  return backends.some(({ port }) => port.dnsName !== undefined) ? { auto_host_rewrite: { value: true } } : {};
}

/** The session of the rule, else of the first backend whose policy has one. Its name is a token, as a cookie and as a header. */
function sessionOf(
  own: SessionSpec | undefined,
  backends: readonly Backend[],
  name: string,
  path: string,
  strict?: boolean | undefined,
): Session | undefined {
  const spec =
    own ?? backends.find(({ policy }) => policy?.sessionPersistence !== undefined)?.policy?.sessionPersistence;
  if (spec === undefined) return undefined;
  return { spec: { ...spec, strict: strict ?? spec.strict }, name: `session-${name.replace(/[/:]/g, '-')}`, path };
}

/** That of the only match; of several, or of an expression, every path (GEP-1619). */
function cookiePath(matches: readonly HttpMatch[]): string {
  const [only, ...others] = matches;
  const plain = only !== undefined && others.length === 0 && only.path.type !== 'RegularExpression';
  return plain && !only.path.value.includes(';') ? only.path.value : '/';
}
