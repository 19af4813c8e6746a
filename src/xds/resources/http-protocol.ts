import { type ConnectionConfig, DEFAULT_IDLE_TIMEOUT_MS } from '../../core/model/connection.js';
import { connections } from './connections.js';
import type { Message } from './message.js';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** The longest that a timer can wait, 24.8 days: an idle timeout of 0 says "never" (protocol.proto). */
const NEVER_MS = 2_147_483_647;

export interface HttpProtocol {
  readonly protocol: 'http1' | 'http2';
  readonly idleTimeoutMs: number;
  readonly connections: ConnectionConfig | undefined;
}

/** `HttpProtocolOptions` among the cluster's `typed_extension_protocol_options`, or the deprecated fields of the cluster itself. */
export function httpProtocol(cluster: Message): HttpProtocol {
  const options = cluster.map('typed_extension_protocol_options').find(([name]) => name === OPTIONS)?.[1];
  const common = (options ?? cluster).message('common_http_protocol_options');
  const idle = common?.duration('idle_timeout') ?? DEFAULT_IDLE_TIMEOUT_MS;
  const { protocol, http2 } = options === undefined ? legacy(cluster) : explicit(options);
  return {
    protocol,
    idleTimeoutMs: idle === 0 ? NEVER_MS : Math.min(idle, NEVER_MS),
    connections: connections(cluster, common, http2),
  };
}

/** What calls speak, and the settings of HTTP/2, which gRPC calls speak in any case. */
interface Spoken {
  readonly protocol: HttpProtocol['protocol'];
  readonly http2: Message | undefined;
}

function explicit(options: Message): Spoken {
  const kind = options.oneof('explicit_http_config', 'use_downstream_protocol_config', 'auto_config');
  if (kind === undefined) return { protocol: 'http1', http2: undefined };
  const config = options.required(kind);
  const http2 = config.message('http2_protocol_options');
  // The others leave it to the call or to ALPN, and HTTP/1.1 is what calls other than gRPC speak and every server can.
  if (kind !== 'explicit_http_config') return { protocol: 'http1', http2 };
  const protocol = config.oneof('http_protocol_options', 'http2_protocol_options', 'http3_protocol_options');
  if (protocol === 'http3_protocol_options')
    throw config.error(protocol, 'is not supported; use http2_protocol_options');
  return { protocol: protocol === 'http2_protocol_options' ? 'http2' : 'http1', http2 };
}

function legacy(cluster: Message): Spoken {
  const http2 = cluster.message('http2_protocol_options');
  return { protocol: http2 === undefined ? 'http1' : 'http2', http2 };
}
