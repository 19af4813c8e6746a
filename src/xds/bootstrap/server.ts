import { DecodeError, record, shown, string } from '../../core/decode.js';
import type { ApiType, ServerFeatures, XdsServer } from './bootstrap.js';
import { parseCallCredentials, parseChannelCredentials } from './credentials.js';
import { list } from './fields.js';

const API_TYPES: readonly ApiType[] = ['AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC', 'GRPC', 'DELTA_GRPC'];

/** `xds_servers`, in order of preference (gRFC A71). */
export function parseServers(json: unknown, path: string): readonly XdsServer[] {
  return list(json, path).map((server, i) => parseServer(server, `${path}[${i}]`));
}

function parseServer(json: unknown, path: string): XdsServer {
  const server = record(json, path);
  const uri = string(server['server_uri'], `${path}.server_uri`);
  if (uri === '') throw new DecodeError(`${path}.server_uri`, 'must be host:port or a gRPC target, got ""');
  return {
    uri,
    credentials: parseChannelCredentials(server['channel_creds'], `${path}.channel_creds`),
    callCredentials: parseCallCredentials(server['call_creds'], `${path}.call_creds`),
    apiType: parseApiType(server['api_type'], `${path}.api_type`),
    features: parseFeatures(server['server_features'], `${path}.server_features`),
  };
}

function parseApiType(json: unknown, path: string): ApiType {
  if (json === undefined) return 'AGGREGATED_GRPC';
  const found = API_TYPES.find((type) => type === json);
  if (found === undefined) throw new DecodeError(path, `must be one of ${API_TYPES.join(', ')}; got ${shown(json)}`);
  return found;
}

/** `server_features`: those nobody knows are ignored, `xds_v3` among them, which goes without saying today. */
function parseFeatures(json: unknown, path: string): ServerFeatures {
  const names = json === undefined ? [] : list(json, path).map((name, i) => string(name, `${path}[${i}]`));
  const has = (name: string): boolean => names.includes(name);
  return {
    failOnDataErrors: has('fail_on_data_errors'),
    // The text of A88 has both names for it.
    resourceTimerIsTransientError:
      has('resource_timer_is_transient_error') || has('resource_timer_is_transient_failure'),
    trusted: has('trusted_xds_server'),
    ...(has('inmesh.settings') && { settings: true }),
  };
}
