import type { PathMatch } from '../../core/model/match.js';
import type {
  CorsPolicy,
  ForwardAction,
  HeaderMutation,
  MirrorPolicy,
  RetryConfig,
  WeightedCluster,
} from '../../core/model/route.js';
import type { ResourceOrigin } from '../origin.js';
import { type ClusterWeight, clusterSpecifier, type Plugins } from './cluster-specifier.js';
import { type ConfiguredCluster, overriddenParts, type Overrides } from './filter-overrides.js';
import { hashPolicies } from './hash-policy.js';
import { mergeMutations } from './header-mutation.js';
import { hedgePolicy, hedging } from './hedge-policy.js';
import { isHeaderName, isHost } from './header-name.js';
import type { Message } from './message.js';
import { mirrorPolicies } from './mirror-policy.js';
import { pathRewrite } from './path-rewrite.js';
import type { RateLimits } from './rate-limit.js';
import { retryPolicy } from './retry-policy.js';
import { regexSubstitute } from './string-match.js';
import { metadataMatch } from './subset.js';

/** What of the virtual host and the route configuration around it an action needs. */
export interface Surroundings {
  readonly plugins: Plugins;
  /** The virtual host's policy: for routes that have none of their own; never mixed with one (gRFC A44). */
  readonly retry: RetryConfig | undefined;
  readonly origin: ResourceOrigin;
  /** Those of the virtual host, else of the route configuration: for routes that have none of their own. */
  readonly mirrors: readonly MirrorPolicy[] | undefined;
  /** Envoy's policy of the virtual host: for routes that have none of their own. */
  readonly hedge: Message | undefined;
  /** What the route and the levels around it say to filters. */
  readonly overrides: Overrides;
  /** Names the route. */
  readonly scope: string;
  readonly rateLimits: RateLimits | undefined;
  /** The deprecated `cors` of the route, else of the virtual host. */
  readonly cors: CorsPolicy | undefined;
}

export interface Forward {
  readonly action: ForwardAction;
  /** The clusters with their own header mutations only. */
  readonly clusters: readonly [ClusterWeight, ...ClusterWeight[]];
}

/**
 * The `route.v3.RouteAction` of a route; undefined when the route is to be ignored. Not read, because they only tune what a client does not do: upgrades,
 * internal redirects.
 */
export function forwardAction(route: Message, around: Surroundings, match: PathMatch): Forward | undefined {
  const action = route.required('route');
  const specified = clusterSpecifier(action, around.plugins, around.overrides, around.scope);
  const own = action.message('retry_policy');
  // What gRPC checks is checked in a route that is ignored too; what only we do not support does no harm there.
  const retry = own === undefined ? around.retry : retryPolicy(own);
  const rest = {
    timeoutMs: action.duration('timeout'),
    maxStreamDurationMs: maxStreamDuration(action.message('max_stream_duration')),
    retry,
    hashPolicies: hashPolicies(action),
  };
  if (specified === undefined) return undefined;
  const { clusters, ...choice } = specified;
  const configured = clusters.map((cluster) => configuredCluster(cluster, around));
  const [first, ...others] = configured as [WeightedCluster, ...WeightedCluster[]];
  return {
    action: {
      kind: 'forward',
      clusters: [first, ...others],
      totalWeight: clusters.reduce((sum, { weight }) => sum + weight, 0),
      ...choice,
      ...rest,
      hedge: hedging({ route, policy: hedgePolicy(action) ?? around.hedge }, retry),
      priority: action.choice('priority', ['DEFAULT', 'HIGH']) === 'HIGH' ? 'high' : undefined,
      pathRewrite: pathRewrite(action, match),
      hostRewrite: hostRewrite(action, around.origin),
      appendForwardedHost: action.flag('append_x_forwarded_host') || undefined,
      mirrors: mirrorPolicies(action) ?? around.mirrors,
      idleTimeoutMs: action.duration('idle_timeout'),
      subset: metadataMatch(action),
    },
    clusters,
  };
}

/** Without header mutations, which `withClusterHeaders` adds. */
function configuredCluster(
  { request: _, response: __, overrides, ...cluster }: ClusterWeight,
  { cors, rateLimits }: Surroundings,
): ConfiguredCluster {
  const plain = { ...cluster, requestHeaders: undefined, responseHeaders: undefined };
  return overrides === undefined ? plain : { ...plain, overridden: overriddenParts(overrides, cors, rateLimits) };
}

/**
 * Gives each cluster the mutations of all levels when any has some of its own; the route then carries none. So whoever applies
 * them finds them in one place, in the right order, whichever end of the levels comes first.
 */
export function withClusterHeaders(
  { action, clusters }: Forward,
  levels: (own: HeaderMutation | undefined, direction: 'request' | 'response') => (HeaderMutation | undefined)[],
): { readonly action: ForwardAction; readonly perCluster: { readonly request: boolean; readonly response: boolean } } {
  const perCluster = {
    request: clusters.some(({ request }) => request !== undefined),
    response: clusters.some(({ response }) => response !== undefined),
  };
  if (!perCluster.request && !perCluster.response) return { action, perCluster };
  const [first, ...others] = action.clusters.map((cluster, i) => ({
    ...cluster,
    requestHeaders: perCluster.request ? mergeMutations(levels(clusters[i]?.request, 'request')) : undefined,
    responseHeaders: perCluster.response ? mergeMutations(levels(clusters[i]?.response, 'response')) : undefined,
  }));
  return first === undefined
    ? { action, perCluster }
    : { action: { ...action, clusters: [first, ...others] }, perCluster };
}

/** gRFC A31: grpc_timeout_header_max if it is there, else max_stream_duration; zero says that there is no cap. */
function maxStreamDuration(config: Message | undefined): number | undefined {
  return config?.duration('grpc_timeout_header_max') ?? config?.duration('max_stream_duration');
}

function hostRewrite(action: Message, origin: ResourceOrigin): ForwardAction['hostRewrite'] {
  switch (action.oneof('host_rewrite_literal', 'auto_host_rewrite', 'host_rewrite_header', 'host_rewrite_path_regex')) {
    case 'host_rewrite_literal': {
      const value = action.text('host_rewrite_literal');
      if (value === '') return undefined;
      if (!isHost(value)) throw action.error('host_rewrite_literal', 'must be a host, with or without a port');
      return { kind: 'literal', value };
    }
    case 'auto_host_rewrite': {
      const wanted = action.boolValue('auto_host_rewrite');
      // "if the `trusted_xds_server` server option is present" - A81; from another server it is not looked at.
      return wanted && origin.trusted ? { kind: 'endpoint' } : undefined;
    }
    case 'host_rewrite_header': {
      const name = action.text('host_rewrite_header').toLowerCase();
      if (name === '') return undefined;
      if (!isHeaderName(name)) throw action.error('host_rewrite_header', 'must be a header name (RFC 9110)');
      return { kind: 'header', name };
    }
    case 'host_rewrite_path_regex':
      return { kind: 'path', ...regexSubstitute(action.required('host_rewrite_path_regex')) };
    default:
      return undefined;
  }
}
