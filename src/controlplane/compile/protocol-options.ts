import type { Resource } from '../../core/resources.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { any, duration, wrapped } from './proto.js';
import type { MeshPort } from './services.js';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** What connections speak, how long they last, and how they are kept: `typed_extension_protocol_options` of HTTP. */
export function protocolOptions(port: MeshPort, policy: TrafficPolicySpec | undefined): Resource {
  const common = commonOptions(policy);
  if (!port.http2 && common === undefined) return {};
  const options = any(HTTP_OPTIONS, {
    ...(common !== undefined && { common_http_protocol_options: common }),
    explicit_http_config: port.http2 ? { http2_protocol_options: keepalive(policy) } : { http_protocol_options: {} },
  });
  return { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } };
}

function commonOptions(policy: TrafficPolicySpec | undefined): Resource | undefined {
  const pool = policy?.connectionPool;
  const fields = {
    ...(policy?.idleTimeout !== undefined && { idle_timeout: duration(policy.idleTimeout) }),
    ...(pool?.maxConnectionDuration !== undefined && { max_connection_duration: duration(pool.maxConnectionDuration) }),
    ...(pool?.maxRequestsPerConnection !== undefined && {
      max_requests_per_connection: wrapped(pool.maxRequestsPerConnection),
    }),
  };
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function keepalive(policy: TrafficPolicySpec | undefined): Resource {
  const given = policy?.connectionPool?.http2Keepalive;
  if (given === undefined) return {};
  return { connection_keepalive: { interval: duration(given.interval), timeout: duration(given.timeout) } };
}
