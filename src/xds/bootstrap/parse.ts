import { DecodeError, record } from '../../core/decode.js';
import type { Resource } from '../../core/resources.js';
import { parseAuthorities } from './authorities.js';
import type { Bootstrap, ChannelCredentialsConfig, XdsServer } from './bootstrap.js';
import { type Json, optionalString } from './fields.js';
import { completeNode, type NodeDefaults } from './node.js';
import { parseCertificateProviders } from './providers.js';
import { parseServers } from './server.js';
import { structOf } from './struct.js';

/**
 * A gRPC bootstrap (gRFC A27), be it parsed JSON or an object made in code (`BootstrapJson`). "unknown fields in the bootstrap file will
 * be silently ignored"; wrong ones are a DecodeError that names the JSON path.
 */
export function parseBootstrap(json: unknown, defaults: NodeDefaults): Bootstrap {
  const root = record(json, '');
  const [first, ...rest] = parseServers(root['xds_servers'], 'xds_servers');
  if (first === undefined) throw new DecodeError('xds_servers', 'must name at least one server');
  const servers: Bootstrap['servers'] = [first, ...rest];
  const node = root['node'] === undefined ? {} : parseNode(record(root['node'], 'node'));
  return {
    servers,
    node: completeNode(node, defaults),
    // An empty template is taken as none, as C-core and Go do.
    listenerTemplate: optionalString(root, 'client_default_listener_resource_name_template', '') || '%s',
    serverListenerTemplate: optionalString(root, 'server_listener_resource_name_template', '') || undefined,
    certificateProviders: parseCertificateProviders(root['certificate_providers'], 'certificate_providers'),
    authorities: parseAuthorities(root['authorities'], 'authorities', servers),
  };
}

/** The bootstrap of somebody who names nothing but a control plane's address: default template, and plaintext unless something else is said. */
export function bootstrapFor(
  uri: string,
  defaults: NodeDefaults,
  credentials: ChannelCredentialsConfig = { kind: 'insecure' },
): Bootstrap {
  const server: XdsServer = {
    uri,
    credentials,
    callCredentials: [],
    apiType: 'AGGREGATED_GRPC',
    features: {
      failOnDataErrors: false,
      resourceTimerIsTransientError: false,
      trusted: true,
      settings: true,
    },
  };
  return {
    servers: [server],
    node: completeNode({}, defaults),
    listenerTemplate: '%s',
    serverListenerTemplate: undefined,
    certificateProviders: new Map(),
    authorities: new Map(),
  };
}

/**
 * Of `envoy.config.core.v3.Node` what is the deployment's to say. "the build_version, user_agent_name, user_agent_version, and
 * client_features fields should not be specified in the bootstrap file" - A27
 */
function parseNode(json: Json): Resource {
  const node: Record<string, unknown> = strings(json, ['id', 'cluster'], 'node');
  if (json['locality'] !== undefined) {
    const locality = record(json['locality'], 'node.locality');
    node['locality'] = strings(locality, ['region', 'zone', 'sub_zone'], 'node.locality');
  }
  if (json['metadata'] !== undefined) {
    node['metadata'] = structOf(record(json['metadata'], 'node.metadata'), 'node.metadata');
  }
  return node;
}

/** The fields that are set; each must be a string. */
function strings(from: Json, names: readonly string[], path: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const text = optionalString(from, name, path);
    if (text !== undefined) found[name] = text;
  }
  return found;
}
