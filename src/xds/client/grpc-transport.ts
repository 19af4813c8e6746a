import { readFileSync } from 'node:fs';
import type * as grpc from '@grpc/grpc-js';
import type { ChannelCredentialsConfig, XdsServer } from '../bootstrap/bootstrap.js';
import { HalfOpenSockets } from './half-open.js';
import type { AdsStream, AdsTransport, StreamHandlers } from './transport.js';

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';

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
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
};

/**
 * Streams over grpc-js, which is loaded here and not before. Each stream has a channel, so that one attempt of ours is one attempt to
 * connect: a channel that is kept would add a backoff of its own, and answer with yesterday's error. Certificates are read for each.
 */
export async function grpcTransport(server: XdsServer): Promise<AdsTransport> {
  const library = await import('@grpc/grpc-js');
  return (handlers) => open(library, server, handlers);
}

function open(library: typeof grpc, server: XdsServer, handlers: StreamHandlers): AdsStream {
  try {
    const credentials = channelCredentials(library, server.credentials);
    const sockets = new HalfOpenSockets(credentials);
    return stream(library, new library.Channel(server.uri, credentials, CHANNEL_OPTIONS), sockets, handlers);
  } catch (error) {
    // A certificate that is gone, or a target that is none: it may be mended before the next attempt.
    return failed(library, handlers, `a channel to ${server.uri} cannot be made: ${(error as Error).message}`);
  }
}

function stream(
  library: typeof grpc,
  channel: grpc.ChannelInterface,
  sockets: HalfOpenSockets,
  handlers: StreamHandlers,
): AdsStream {
  const call = channel.createCall(METHOD, Number.POSITIVE_INFINITY, null, null, null);
  let closed = false;
  let ready = false;
  let waiting: (() => void) | undefined;
  const close = (): void => {
    if (closed) return;
    closed = true;
    call.cancelWithStatus(library.status.CANCELLED, 'closed by the client');
    channel.close();
    // One that is ready says goodbye by itself.
    if (!ready) sockets.destroy();
  };
  watchReady(library, channel, () => {
    if (closed) return;
    ready = true;
    handlers.connected();
    waiting?.();
  });
  call.start(new library.Metadata(), {
    onReceiveMetadata() {},
    onReceiveMessage(message: Uint8Array) {
      if (!closed) handlers.message(message);
    },
    onReceiveStatus({ code, details }) {
      if (closed) return;
      close();
      handlers.ended({ code, details });
    },
  });
  return {
    send(bytes, written) {
      // grpc-js takes a message into its buffers before there is a connection, and says that it is written.
      const callback = (): void => {
        if (closed) return;
        if (ready) written();
        else waiting = written;
      };
      call.sendMessageWithContext({ callback }, asBuffer(bytes));
    },
    read: () => call.startRead(),
    close,
  };
}

/** Calls back once the channel is READY; never, when it is closed before. */
function watchReady(library: typeof grpc, channel: grpc.ChannelInterface, ready: () => void): void {
  const look = (): void => {
    // Without asking it to connect: the call does, and a closed channel that is asked connects again, and for ever.
    const state = channel.getConnectivityState(false);
    if (state === library.connectivityState.READY) ready();
    else if (state !== library.connectivityState.SHUTDOWN) {
      channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => error === undefined && look());
    }
  };
  look();
}

function channelCredentials(library: typeof grpc, config: ChannelCredentialsConfig): grpc.ChannelCredentials {
  if (config.kind === 'insecure') return library.credentials.createInsecure();
  const read = (file: string | undefined): Buffer | null => (file === undefined ? null : readFileSync(file));
  return library.credentials.createSsl(
    read(config.caCertificateFile),
    read(config.privateKeyFile),
    read(config.certificateFile),
  );
}

/** A stream that ends as soon as its owner has it. */
function failed(library: typeof grpc, handlers: StreamHandlers, details: string): AdsStream {
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

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
