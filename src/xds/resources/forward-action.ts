import type { PathMatch } from '../../core/model/match.js';
import type { ForwardAction, HeaderMutation, RetryConfig, WeightedCluster } from '../../core/model/route.js';
import type { ResourceOrigin } from '../origin.js';
import { type ClusterWeight, clusterSpecifier, type Plugins } from './cluster-specifier.js';
import { checkHashPolicies } from './hash-policy.js';
import { mergeMutations } from './header-mutation.js';
import { isHeaderValue } from './header-name.js';
import type { Message } from './message.js';
import { pathRewrite } from './path-rewrite.js';
import { retryPolicy } from './retry-policy.js';

/** What of the route, virtual host and route configuration around it an action needs. */
export interface Surroundings {
  readonly match: PathMatch;
  readonly plugins: Plugins;
  /** The virtual host's policy: for routes that have none of their own; never mixed with one (gRFC A44). */
  readonly retry: RetryConfig | undefined;
  readonly origin: ResourceOrigin;
}

export interface Forward {
  readonly action: ForwardAction;
  /** The clusters with their own header mutations only. */
  readonly clusters: readonly [ClusterWeight, ...ClusterWeight[]];
}

/**
 * `route.v3.RouteAction`; undefined when the route is to be ignored. Not read, because they only tune what a client does not do:
 * mirroring, rate limits, CORS, upgrades, hedging, internal redirects, priorities, subsets.
 */
export function forwardAction(action: Message, around: Surroundings): Forward | undefined {
  const clusters = clusterSpecifier(action, around.plugins);
  const own = action.message('retry_policy');
  // What gRPC checks is checked in a route that is ignored too; what only we do not support does no harm there.
  const rest = {
    timeoutMs: action.duration('timeout'),
    maxStreamDurationMs: maxStreamDuration(action.message('max_stream_duration')),
    retry: own === undefined ? around.retry : retryPolicy(own),
  };
  checkHashPolicies(action);
  if (clusters === undefined) return undefined;
  const [first, ...others] = clusters.map(withoutHeaders) as [WeightedCluster, ...WeightedCluster[]];
  const rewrites = { pathRewrite: pathRewrite(action, around.match), hostRewrite: hostRewrite(action, around.origin) };
  const totalWeight = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return { action: { kind: 'forward', clusters: [first, ...others], totalWeight, ...rest, ...rewrites }, clusters };
}

const withoutHeaders = ({ name, weight }: ClusterWeight): WeightedCluster => ({
  name,
  weight,
  requestHeaders: undefined,
  responseHeaders: undefined,
});

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
  const [first, ...others] = clusters.map(({ name, weight, request, response }) => ({
    name,
    weight,
    requestHeaders: perCluster.request ? mergeMutations(levels(request, 'request')) : undefined,
    responseHeaders: perCluster.response ? mergeMutations(levels(response, 'response')) : undefined,
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
      if (!isHeaderValue(value) || /[\s/?#@]/.test(value))
        throw action.error('host_rewrite_literal', 'must be a host, with or without a port');
      return { kind: 'literal', value };
    }
    case 'auto_host_rewrite': {
      const wanted = action.boolValue('auto_host_rewrite');
      // "if the `trusted_xds_server` server option is present" - A81; from another server it is not looked at.
      return wanted && origin.trusted ? { kind: 'endpoint' } : undefined;
    }
    case 'host_rewrite_header':
    case 'host_rewrite_path_regex':
      throw action.error('', 'only host_rewrite_literal and auto_host_rewrite are supported to rewrite the host');
    default:
      return undefined;
  }
}
