import { hostname } from 'node:os';
import type { Random } from '../../core/random.js';
import type { Resource } from '../../core/resources.js';

/** What the node is when the bootstrap does not say. */
export interface NodeDefaults {
  /** The workload's own service; becomes `node.cluster` and the first part of `node.id`. */
  readonly service: string;
  readonly nodeId?: string;
  /** Version of this library, told as `user_agent_version`. */
  readonly version?: string;
  readonly random: Random;
}

/**
 * Told to the server with the first request of each stream. "does not support overprovisioning" keeps a server from counting on
 * `overprovisioning_factor` (gRFC A27); "resource-in-sotw" allows it to wrap each resource in a `Resource` (xRFC TP2), and
 * "supports-resource-ttl" to give it a time to live (xDS protocol, "Time to live").
 */
const CLIENT_FEATURES = [
  'envoy.lb.does_not_support_overprovisioning',
  'xds.config.resource-in-sotw',
  'xds.config.supports-resource-ttl',
];

/** `node`, completed: `<service>~<host>~<random>` is an id that no other process has. */
export function completeNode(node: Resource, defaults: NodeDefaults): Resource {
  const { service, random } = defaults;
  return {
    ...node,
    id: node.id ?? defaults.nodeId ?? `${service}~${hostname()}~${random.int(2 ** 32).toString(36)}`,
    cluster: node.cluster ?? service,
    user_agent_name: 'inmesh',
    ...(defaults.version === undefined ? {} : { user_agent_version: defaults.version }),
    client_features: CLIENT_FEATURES,
  };
}
