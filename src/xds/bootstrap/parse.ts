import { DecodeError, record, shown, string } from '../../core/decode.js';
import type { Resource } from '../../core/resources.js';
import type { Bootstrap, ChannelCredentialsConfig, XdsServer } from './bootstrap.js';
import { completeNode, type NodeDefaults } from './node.js';
import { structOf } from './struct.js';

type Json = Record<string, unknown>;

/** A gRPC bootstrap (gRFC A27). Unknown fields are ignored, as it asks; wrong ones are a DecodeError that names the JSON path. */
export function parseBootstrap(json: unknown, defaults: NodeDefaults): Bootstrap {
  const root = record(json, '');
  const list = array(root.xds_servers, 'xds_servers');
  const [first, ...rest] = list.map((server, i) => parseServer(server, `xds_servers[${i}]`));
  if (first === undefined) throw new DecodeError('xds_servers', 'must name at least one server');
  const template = optionalString(root, 'client_default_listener_resource_name_template', '') ?? '%s';
  if (!template.includes('%s')) {
    const problem = `must contain %s, which stands for the host that is called, got ${shown(template)}`;
    throw new DecodeError('client_default_listener_resource_name_template', problem);
  }
  const node = root.node === undefined ? {} : parseNode(record(root.node, 'node'));
  return {
    servers: [first, ...rest],
    node: completeNode(node, defaults),
    listenerTemplate: template,
    serverListenerTemplate: undefined,
    certificateProviders: new Map(),
    authorities: new Map(),
  };
}

/** The bootstrap of somebody who names nothing but a control plane's address: plaintext, default template. */
export function bootstrapFor(uri: string, defaults: NodeDefaults): Bootstrap {
  const server: XdsServer = {
    uri,
    credentials: { kind: 'insecure' },
    callCredentials: [],
    apiType: 'AGGREGATED_GRPC',
    features: {
      ignoreResourceDeletion: false,
      failOnDataErrors: false,
      resourceTimerIsTransientError: false,
      trusted: true,
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

function parseServer(json: unknown, path: string): XdsServer {
  const server = record(json, path);
  const uri = string(server.server_uri, `${path}.server_uri`);
  if (uri === '') throw new DecodeError(`${path}.server_uri`, 'must be host:port or a gRPC target, got ""');
  const features = server.server_features === undefined ? [] : array(server.server_features, `${path}.server_features`);
  return {
    uri,
    credentials: parseCredentials(array(server.channel_creds, `${path}.channel_creds`), `${path}.channel_creds`),
    callCredentials: [],
    apiType: 'AGGREGATED_GRPC',
    features: {
      ignoreResourceDeletion: features.includes('ignore_resource_deletion'),
      failOnDataErrors: features.includes('fail_on_data_errors'),
      resourceTimerIsTransientError: features.includes('resource_timer_is_transient_error'),
      trusted: features.includes('trusted_xds_server'),
    },
  };
}

/** "The client will stop at the first credential type that it supports." - A27 */
function parseCredentials(list: readonly unknown[], path: string): ChannelCredentialsConfig {
  const types: string[] = [];
  for (const [i, entry] of list.entries()) {
    const credentials = record(entry, `${path}[${i}]`);
    const type = string(credentials.type, `${path}[${i}].type`);
    types.push(type);
    if (type === 'insecure') return { kind: 'insecure' };
    if (type === 'tls')
      return parseTls(record(credentials.config ?? {}, `${path}[${i}].config`), `${path}[${i}].config`);
  }
  const found = types.length === 0 ? 'nothing' : types.join(', ');
  throw new DecodeError(path, `must offer "insecure" or "tls", got ${found}`);
}

/** A65. Files are read anew for each connection, so `refresh_interval` has nothing to shorten; a wrong one is still an error. */
function parseTls(config: Json, path: string): ChannelCredentialsConfig {
  const certificateFile = optionalString(config, 'certificate_file', path);
  const privateKeyFile = optionalString(config, 'private_key_file', path);
  if ((certificateFile === undefined) !== (privateKeyFile === undefined)) {
    throw new DecodeError(path, 'certificate_file and private_key_file go together: set both or none');
  }
  const interval = optionalString(config, 'refresh_interval', path);
  if (interval !== undefined && !/^\d+(\.\d{1,9})?s$/.test(interval)) {
    throw new DecodeError(`${path}.refresh_interval`, `must be a duration such as "600s", got ${shown(interval)}`);
  }
  return {
    kind: 'tls',
    caCertificateFile: optionalString(config, 'ca_certificate_file', path),
    certificateFile,
    privateKeyFile,
    refreshIntervalMs: 600_000,
  };
}

function parseNode(json: Json): Resource {
  const node: Json = {};
  for (const name of ['id', 'cluster'] as const) {
    const text = optionalString(json, name, 'node');
    if (text !== undefined) node[name] = text;
  }
  if (json.locality !== undefined) {
    const from = record(json.locality, 'node.locality');
    const locality: Json = {};
    for (const name of ['region', 'zone', 'sub_zone'] as const) {
      const text = optionalString(from, name, 'node.locality');
      if (text !== undefined) locality[name] = text;
    }
    node.locality = locality;
  }
  if (json.metadata !== undefined) node.metadata = structOf(record(json.metadata, 'node.metadata'), 'node.metadata');
  return node;
}

function optionalString(from: Json, name: string, path: string): string | undefined {
  const value = from[name];
  return value === undefined ? undefined : string(value, path === '' ? name : `${path}.${name}`);
}

function array(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new DecodeError(path, `must be a list, got ${shown(value)}`);
  return value;
}
