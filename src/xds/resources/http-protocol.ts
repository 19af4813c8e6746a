import { DEFAULT_IDLE_TIMEOUT_MS } from '../../core/model/cluster.js';
import type { Message } from './message.js';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** The longest that a timer can wait, 24.8 days: an idle timeout of 0 says "never" (protocol.proto). */
const NEVER_MS = 2_147_483_647;

export interface HttpProtocol {
  readonly protocol: 'http1' | 'http2';
  readonly idleTimeoutMs: number;
}

/** `HttpProtocolOptions` among the cluster's `typed_extension_protocol_options`, or the deprecated fields of the cluster itself. */
export function httpProtocol(cluster: Message): HttpProtocol {
  const options = cluster.map('typed_extension_protocol_options').find(([name]) => name === OPTIONS)?.[1];
  const idle =
    (options ?? cluster).message('common_http_protocol_options')?.duration('idle_timeout') ?? DEFAULT_IDLE_TIMEOUT_MS;
  return {
    protocol: options === undefined ? legacy(cluster) : explicit(options),
    idleTimeoutMs: idle === 0 ? NEVER_MS : Math.min(idle, NEVER_MS),
  };
}

function explicit(options: Message): HttpProtocol['protocol'] {
  switch (options.oneof('explicit_http_config', 'use_downstream_protocol_config', 'auto_config')) {
    case 'explicit_http_config': {
      const config = options.required('explicit_http_config');
      const protocol = config.oneof('http_protocol_options', 'http2_protocol_options', 'http3_protocol_options');
      if (protocol === 'http3_protocol_options')
        throw config.error(protocol, 'is not supported; use http2_protocol_options');
      return protocol === 'http2_protocol_options' ? 'http2' : 'http1';
    }
    // Both leave it to the call or to ALPN, and HTTP/1.1 is what calls other than gRPC speak and every server can.
    default:
      return 'http1';
  }
}

function legacy(cluster: Message): HttpProtocol['protocol'] {
  return cluster.has('http2_protocol_options') ? 'http2' : 'http1';
}
