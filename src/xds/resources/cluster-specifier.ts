import type { HeaderMutation } from '../../core/model/route.js';
import { headerMutation } from './header-mutation.js';
import { checkFilterOverrides } from './http-filters.js';
import { type Message, UINT32_MAX } from './message.js';

/** A cluster of a route action, before the header mutations of the outer levels are merged in. */
export interface ClusterWeight {
  readonly name: string;
  readonly weight: number;
  readonly request: HeaderMutation | undefined;
  readonly response: HeaderMutation | undefined;
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
): readonly [ClusterWeight, ...ClusterWeight[]] | undefined {
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
      return [{ name: action.requiredText('cluster'), weight: 1, request: undefined, response: undefined }];
    case 'weighted_clusters':
      return weightedClusters(action.required('weighted_clusters'));
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

function weightedClusters(weighted: Message): readonly [ClusterWeight, ...ClusterWeight[]] | undefined {
  const found: ClusterWeight[] = [];
  let sum = 0;
  let byHeader = false;
  for (const cluster of weighted.messages('clusters')) {
    checkFilterOverrides(cluster);
    const weight = cluster.uint32Value('weight') ?? 0;
    sum += weight;
    if (cluster.oneof('name', 'cluster_header') === 'cluster_header') {
      byHeader = true;
      continue;
    }
    const name = cluster.requiredText('name');
    if (cluster.text('host_rewrite_literal') !== '') {
      throw cluster.error('host_rewrite_literal', 'is not supported here; set it on the route action');
    }
    const request = headerMutation(cluster, 'request');
    const response = headerMutation(cluster, 'response');
    // One that gets no calls is not needed, and not waited for.
    if (weight > 0) found.push({ name, weight, request, response });
  }
  if (sum > UINT32_MAX) throw weighted.error('clusters', `weights must add up to at most ${UINT32_MAX}, got ${sum}`);
  if (sum === 0) throw weighted.error('clusters', 'weights must add up to 1 or more, got 0');
  const [first, ...others] = found;
  return byHeader || first === undefined ? undefined : [first, ...others];
}
