import type {
  CorsPolicy,
  HeaderMutation,
  MirrorPolicy,
  RetryConfig,
  RouteAction,
  RouteConfiguration,
  VirtualHost,
} from '../../core/model/route.js';
import type { Steps } from '../../core/steps.js';
import { domainProblem } from '../../routing/virtual-host.js';
import type { ResourceOrigin } from '../origin.js';
import { declaredPlugins, type Plugins } from './cluster-specifier.js';
import { corsPolicy } from './filter-cors.js';
import { type ConfiguredRoute, filterOverrides, overriddenParts, type Overrides } from './filter-overrides.js';
import { forwardAction, withClusterHeaders } from './forward-action.js';
import { headerMutation, mergeMutations } from './header-mutation.js';
import { hedgePolicy } from './hedge-policy.js';
import { checkFilterOverrides } from './http-filters.js';
import { directResponseAction, redirectAction } from './local-action.js';
import type { Message } from './message.js';
import { mirrorPolicies } from './mirror-policy.js';
import { distinct, type RateLimit, type RateLimits, rateLimits } from './rate-limit.js';
import { retryPolicy } from './retry-policy.js';
import { routeMatch } from './route-match.js';

/** Default of `max_direct_response_body_size_bytes` (route.proto). */
const MAX_DIRECT_RESPONSE_BODY = 4_096;

/** What routes inherit from the levels around them. */
interface Level {
  readonly origin: ResourceOrigin;
  readonly plugins: Plugins;
  readonly maxBody: number;
  /** Header mutations of route configuration and virtual host, inner one first. */
  readonly outer: {
    readonly request: readonly (HeaderMutation | undefined)[];
    readonly response: readonly (HeaderMutation | undefined)[];
  };
  /**
   * Envoy evaluates from the most specific level to the most general, so that the general one wins; or the other way round with
   * `most_specific_header_mutations_wins`.
   */
  readonly specificWins: boolean;
  /** What the levels around say to filters. */
  readonly overrides: Overrides;
  /** Names the level, for counts that are its own. */
  readonly scope: string;
  readonly mirrors: readonly MirrorPolicy[] | undefined;
}

/** What only virtual hosts have for their routes. */
interface HostLevel extends Level {
  readonly retry: RetryConfig | undefined;
  readonly hedge: Message | undefined;
  /** The deprecated field. */
  readonly cors: CorsPolicy | undefined;
  readonly rateLimits: readonly RateLimit[];
  readonly attemptCount: { readonly request: boolean; readonly response: boolean } | undefined;
}

/** `route.v3.RouteConfiguration`. Pauses after each route and each domain. `scope` names it among all that there are. */
export function* routeConfiguration(config: Message, origin: ResourceOrigin, scope: string): Steps<RouteConfiguration> {
  if (config.has('vhds'))
    throw config.error('vhds', 'on-demand virtual hosts are not supported; list them in virtual_hosts');
  const level: Level = {
    origin,
    plugins: declaredPlugins(config),
    maxBody: config.uint32Value('max_direct_response_body_size_bytes') ?? MAX_DIRECT_RESPONSE_BODY,
    outer: { request: [headerMutation(config, 'request')], response: [headerMutation(config, 'response')] },
    specificWins: config.flag('most_specific_header_mutations_wins'),
    scope,
    overrides: checkedOverrides(config, NO_OVERRIDES, scope),
    mirrors: mirrorPolicies(config),
  };
  const domains = new Set<string>();
  const virtualHosts: VirtualHost[] = [];
  for (const virtualHost of config.each('virtual_hosts'))
    virtualHosts.push(yield* decodeVirtualHost(virtualHost, level, domains));
  return { name: config.text('name'), ignorePort: config.flag('ignore_port_in_host_matching'), virtualHosts };
}

const NO_OVERRIDES: Overrides = new Map();

function checkedOverrides(level: Message, around: Overrides, scope: string): Overrides {
  checkFilterOverrides(level);
  return filterOverrides(level, around, scope);
}

function* decodeVirtualHost(virtualHost: Message, level: Level, taken: Set<string>): Steps<VirtualHost> {
  if (virtualHost.has('matcher')) throw virtualHost.error('matcher', 'is not supported; use routes');
  const domains = yield* decodeDomains(virtualHost, taken);
  const retry = virtualHost.message('retry_policy');
  const cors = virtualHost.message('cors');
  const scope = `${level.scope}/${virtualHost.text('name')}`;
  const inner: HostLevel = {
    ...level,
    outer: {
      request: [headerMutation(virtualHost, 'request'), ...level.outer.request],
      response: [headerMutation(virtualHost, 'response'), ...level.outer.response],
    },
    scope,
    overrides: checkedOverrides(virtualHost, level.overrides, scope),
    mirrors: mirrorPolicies(virtualHost) ?? level.mirrors,
    retry: retry === undefined ? undefined : retryPolicy(retry),
    hedge: hedgePolicy(virtualHost),
    cors: cors === undefined ? undefined : corsPolicy(cors),
    rateLimits: rateLimits(virtualHost),
    attemptCount: attemptCount(virtualHost),
  };
  const routes: ConfiguredRoute[] = [];
  const names = new Set<string>();
  let index = 0;
  for (const message of virtualHost.each('routes')) {
    yield;
    const name = message.text('name') || `route-${index}`;
    const route = decodeRoute(message, name, { ...inner, scope: `${scope}/${distinct(name, names)}` });
    index++;
    if (route !== undefined) routes.push(route);
  }
  return { name: virtualHost.text('name'), domains, routes };
}

function attemptCount(virtualHost: Message): HostLevel['attemptCount'] {
  const request = virtualHost.flag('include_request_attempt_count');
  const response = virtualHost.flag('include_attempt_count_in_response');
  return request || response ? { request, response } : undefined;
}

function* decodeDomains(virtualHost: Message, taken: Set<string>): Steps<readonly string[]> {
  const domains: string[] = [];
  let i = 0;
  for (const domain of virtualHost.eachText('domains')) {
    yield;
    const lower = domain.toLowerCase();
    // "must be unique across all virtual hosts or the config will fail to load" - route_components.proto
    const problem =
      domainProblem(lower) ??
      (taken.has(lower) ? `must be unique in the route configuration, got "${domain}" again` : undefined);
    if (problem !== undefined) throw virtualHost.error(`domains[${i}]`, problem);
    i++;
    taken.add(lower);
    domains.push(lower);
  }
  if (domains.length === 0) throw virtualHost.error('domains', 'must have at least one domain');
  return domains;
}

/** `route.v3.Route`; undefined when a client has to ignore it. */
function decodeRoute(route: Message, name: string, level: HostLevel): ConfiguredRoute | undefined {
  const overrides = checkedOverrides(route, level.overrides, level.scope);
  const limits = routeRateLimits(route.message('route'), level);
  const match = routeMatch(route.required('match'));
  const own = { request: headerMutation(route, 'request'), response: headerMutation(route, 'response') };
  const levels = (cluster: HeaderMutation | undefined, direction: 'request' | 'response') => {
    const specificFirst = [own[direction], ...level.outer[direction]];
    // A cluster's own come first, whichever of the others wins (Envoy, WeightedClusterEntry).
    return [cluster, ...(level.specificWins ? specificFirst.reverse() : specificFirst)];
  };
  let action: RouteAction;
  let inClusters = { request: false, response: false };
  let { cors } = level;
  // What is ignored is decoded all the same, so that a mistake in it is found.
  const path = match?.path ?? { kind: 'prefix', value: '', ignoreCase: false };
  switch (route.oneof('route', 'redirect', 'direct_response', 'filter_action', 'non_forwarding_action')) {
    case 'route': {
      const own = route.required('route').message('cors');
      if (own !== undefined) cors = corsPolicy(own, level.cors);
      const forward = forwardAction(route, { ...level, overrides, cors, rateLimits: limits }, path);
      if (forward === undefined) return undefined;
      ({ action, perCluster: inClusters } = withClusterHeaders(forward, levels));
      break;
    }
    case 'redirect':
      action = redirectAction(route.required('redirect'), path);
      break;
    case 'direct_response':
      action = directResponseAction(route.required('direct_response'), level.maxBody);
      break;
    case 'non_forwarding_action':
      action = { kind: 'non_forwarding' };
      break;
    case 'filter_action':
      action = { kind: 'unservable', reason: 'its filter_action is not supported' };
      break;
    default:
      // A newer kind of action looks like none. The route still matches, so that its calls do not fall through to another.
      action = { kind: 'unservable', reason: 'it has no action that is known' };
  }
  if (match === undefined) return undefined;
  return {
    name,
    match,
    action,
    requestHeaders: inClusters.request ? undefined : mergeMutations(levels(undefined, 'request')),
    responseHeaders: inClusters.response ? undefined : mergeMutations(levels(undefined, 'response')),
    ...overriddenParts(overrides, cors, limits),
    attemptCount: level.attemptCount,
  };
}

function routeRateLimits(action: Message | undefined, level: HostLevel): RateLimits | undefined {
  const route = action === undefined ? [] : rateLimits(action);
  const host = level.rateLimits;
  if (route.length + host.length === 0) return undefined;
  return { route, host, includeHost: action?.boolValue('include_vh_rate_limits') ?? false };
}
