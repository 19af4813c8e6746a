import type * as grpc from '@grpc/grpc-js';
import { type CredentialsEnv, channelCredentials } from './credentials/index.js';
import { SharedChannel } from './shared-channel.js';
import type { TlsClient } from '../../core/tls.js';
import type { StreamHandlers, TransportFactory, XdsStream } from './transport.js';

/** The largest response that is read, in bytes. Ten times what a mesh of 20,000 services needs; grpc-js's own limit is 4 MiB. */
export const MAX_RESPONSE_BYTES = 64 * 1_024 * 1_024;

const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  // A dead peer is noticed after 5 minutes and 20 seconds, as in grpc-go's xDS client: servers allow no more pings by default.
  'grpc.keepalive_time_ms': 300_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
  // HTTP/2's 64 KiB would let ten megabytes take 160 round trips.
  'grpc-node.flow_control_window': 4 * 1_024 * 1_024,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  // What is kept for a retry counts as written at once; without that, once HTTP/2 has taken it, which is when the stream may have left (A57).
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
};

export interface GrpcTransportEnv extends CredentialsEnv {
  /**
   * TLS under the workload's identity, to a server with this SPIFFE ID; undefined: our control plane's. `host` is what messages call it. Waits for a first
   * certificate, and rejects where none comes. Absent: this workload has no identity.
   */
  readonly identityTls?: ((serverId: string | undefined, host: string) => Promise<TlsClient>) | undefined;
}

/**
 * Streams over grpc-js, which is loaded here and not before. Streams share a channel while its connection stands; the next attempt after a
 * failure has a channel of its own, so that one attempt of ours is one attempt to connect: a channel that is kept would add a backoff of
 * its own, and answer with yesterday's error.
 */
export const grpcTransport =
  (env: GrpcTransportEnv): TransportFactory =>
  async (server) => {
    const library = await import('@grpc/grpc-js');
    const { credentials: config, uri } = server;
    const identity = config.kind === 'identity' ? await env.identityTls?.(config.serverId, uri) : undefined;
    const credentials = channelCredentials(library, server, env, identity);
    let shared: SharedChannel | undefined;
    return (path, handlers) => {
      try {
        if (shared?.usable !== true) shared = new SharedChannel(library, uri, credentials, CHANNEL_OPTIONS);
        return shared.open(path, handlers);
      } catch (error) {
        // A certificate that is gone, or a target that is none: it may be mended before the next attempt.
        return failed(library, handlers, `a channel to ${uri} cannot be made: ${(error as Error).message}`);
      }
    };
  };

/** A stream that ends as soon as its owner has it. */
function failed(library: typeof grpc, handlers: StreamHandlers, details: string): XdsStream {
  let closed = false;
  queueMicrotask(() => {
    if (!closed) handlers.ended({ code: library.status.UNAVAILABLE, details });
  });
  return {
    send() {},
    read() {},
    close() {
      closed = true;
    },
  };
}
