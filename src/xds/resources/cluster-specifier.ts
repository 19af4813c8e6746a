import type { ForwardAction, HeaderMutation, WeightedCluster } from '../../core/model/route.js';
import { filterOverrides, type Overrides } from './filter-overrides.js';
import { headerMutation } from './header-mutation.js';
import { isHeaderName, isHost } from './header-name.js';
import { checkFilterOverrides } from './http-filters.js';
import { type Message, UINT32_MAX } from './message.js';
import { metadataMatch } from './subset.js';

/** A cluster of a route action, before the header mutations of the outer levels are merged in. */
export interface ClusterWeight extends Pick<WeightedCluster, 'name' | 'weight' | 'subset' | 'hostRewrite'> {
  readonly request: HeaderMutation | undefined;
  readonly response: HeaderMutation | undefined;
  /** What it and the levels around it say to filters; absent: what the route says. */
  readonly overrides?: Overrides | undefined;
}

/** The clusters, and what chooses among them. */
export interface Specified extends Pick<ForwardAction, 'weightedByHash' | 'weightedByHeader'> {
  readonly clusters: readonly [ClusterWeight, ...ClusterWeight[]];
}

/** Names of `cluster_specifier_plugins`, all of them optional: no plugin is supported. */
export type Plugins = ReadonlySet<string>;

/**
 * The clusters that a `route.v3.RouteAction` sends to. Undefined when it names them in a way that a client ignores with the whole
 * route: not at all, by a header of the request, or by an optional plugin (gRFC A28, A42).
 */
export function clusterSpecifier(
  action: Message,
  plugins: Plugins,
  around: Overrides,
  scope: string,
): Specified | undefined {
  switch (
    action.oneof(
      'cluster',
      'cluster_header',
      'weighted_clusters',
      'cluster_specifier_plugin',
      'inline_cluster_specifier_plugin',
    )
  ) {
    case 'cluster':
      return {
        clusters: [{ name: action.requiredText('cluster'), weight: 1, request: undefined, response: undefined }],
      };
    case 'weighted_clusters':
      return weightedClusters(action.required('weighted_clusters'), around, scope);
    case 'cluster_specifier_plugin': {
      const name = action.text('cluster_specifier_plugin');
      if (!plugins.has(name))
        throw action.error('cluster_specifier_plugin', `names "${name}", which cluster_specifier_plugins lacks`);
      return undefined;
    }
    case 'inline_cluster_specifier_plugin':
      requireOptional(action.required('inline_cluster_specifier_plugin'));
      return undefined;
    default:
      return undefined;
  }
}

/**
 * `RouteConfiguration.cluster_specifier_plugins`. "If no plugin is registered for it, the resource will be NACKed", unless `is_optional`:
 * then "we will ignore any routes that point to that plugin" (xDS design for RLS, as in grpc-go). No plugin is registered here.
 */
export function declaredPlugins(config: Message): Plugins {
  const names = new Set<string>();
  for (const plugin of config.messages('cluster_specifier_plugins')) {
    requireOptional(plugin);
    const name = plugin.required('extension').requiredText('name');
    if (names.has(name)) throw plugin.error('extension.name', `must not be repeated, got "${name}" again`);
    names.add(name);
  }
  return names;
}

function requireOptional(plugin: Message): void {
  if (!plugin.flag('is_optional'))
    throw plugin.error('', 'cluster specifier plugins are not supported; set is_optional to have their routes ignored');
}

function weightedClusters(weighted: Message, around: Overrides, scope: string): Specified | undefined {
  const found: ClusterWeight[] = [];
  let sum = 0;
  let byHeader = false;
  for (const cluster of weighted.messages('clusters')) {
    checkFilterOverrides(cluster);
    const overrides = filterOverrides(cluster, around, `${scope}/${cluster.text('name')}`);
    const weight = cluster.uint32Value('weight') ?? 0;
    sum += weight;
    if (cluster.oneof('name', 'cluster_header') === 'cluster_header') {
      byHeader = true;
      continue;
    }
    const name = cluster.requiredText('name');
    const host = cluster.text('host_rewrite_literal');
    if (!isHost(host)) throw cluster.error('host_rewrite_literal', 'must be a host, with or without a port');
    const hostRewrite = host === '' ? undefined : host;
    const subset = metadataMatch(cluster);
    const request = headerMutation(cluster, 'request');
    const response = headerMutation(cluster, 'response');
    // One that gets no calls is not needed, and not waited for.
    const own = overrides === around ? {} : { overrides };
    if (weight > 0) found.push({ name, weight, request, response, subset, hostRewrite, ...own });
  }
  if (sum > UINT32_MAX) throw weighted.error('clusters', `weights must add up to at most ${UINT32_MAX}, got ${sum}`);
  if (sum === 0) throw weighted.error('clusters', 'weights must add up to 1 or more, got 0');
  const [first, ...others] = found;
  const choice = choiceOf(weighted);
  return byHeader || first === undefined ? undefined : { clusters: [first, ...others], ...choice };
}

/** `random_value_specifier`: what chooses in place of chance. */
function choiceOf(weighted: Message): Pick<ForwardAction, 'weightedByHash' | 'weightedByHeader'> {
  switch (weighted.oneof('header_name', 'use_hash_policy')) {
    case 'header_name': {
      const name = weighted.text('header_name').toLowerCase();
      if (name === '') return {};
      if (!isHeaderName(name)) throw weighted.error('header_name', 'must be a header name (RFC 9110)');
      return { weightedByHeader: name };
    }
    case 'use_hash_policy':
      return weighted.boolValue('use_hash_policy') === true ? { weightedByHash: true } : {};
    default:
      return {};
  }
}
