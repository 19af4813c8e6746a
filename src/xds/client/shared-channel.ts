import type * as grpc from '@grpc/grpc-js';
import { HalfOpenSockets } from './half-open.js';
import type { ChannelCredentialsFactory } from './credentials/index.js';
import type { StreamEnd, StreamHandlers, XdsStream } from './transport.js';

/** One grpc-js channel: one attempt to connect, and all streams that are opened while what came of it stands. */
export class SharedChannel {
  readonly #channel: grpc.ChannelInterface;
  readonly #sockets: HalfOpenSockets;
  readonly #streams = new Set<ChannelStream>();
  readonly #handshakes = new Set<() => void>();
  #state: 'connecting' | 'ready' | 'broken' = 'connecting';
  #draining = false;

  constructor(
    private readonly library: typeof grpc,
    uri: string,
    makeCredentials: ChannelCredentialsFactory,
    options: grpc.ChannelOptions,
  ) {
    const credentials = makeCredentials({
      drain: () => this.#drain(),
      handshake: (giveUp) => {
        this.#handshakes.add(giveUp);
        return () => void this.#handshakes.delete(giveUp);
      },
    });
    this.#sockets = new HalfOpenSockets(credentials);
    this.#channel = new library.Channel(uri, credentials, options);
    this.#watch();
  }

  /** False once the connection was lost, could not be made, is to be replaced, or was closed with its last stream. */
  get usable(): boolean {
    return this.#state !== 'broken' && !this.#draining;
  }

  open(path: string, handlers: StreamHandlers): XdsStream {
    const call = this.#channel.createCall(path, Number.POSITIVE_INFINITY, null, null, null);
    const stream = new ChannelStream(this.library, call, handlers, () => this.#closed(stream));
    this.#streams.add(stream);
    if (this.#state === 'ready') queueMicrotask(() => stream.ready());
    stream.start();
    return stream;
  }

  /** Follows the channel without asking it to connect: the calls do, and a closed channel that is asked connects again, and for ever. */
  #watch(): void {
    const { connectivityState } = this.library;
    const state = this.#channel.getConnectivityState(false);
    if (state === connectivityState.READY) this.#becameReady();
    else if (this.#state === 'ready' || state === connectivityState.SHUTDOWN) this.#state = 'broken';
    if (this.#state === 'broken') return;
    this.#channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
      if (error === undefined) this.#watch();
    });
  }

  #becameReady(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'ready';
    for (const stream of [...this.#streams]) stream.ready();
  }

  /** Its streams end as if the server had ended them: what they had is kept, and they go on where they were on a new connection. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    const { status } = this.library;
    for (const stream of [...this.#streams]) stream.end({ code: status.UNAVAILABLE, details: REPLACED });
  }

  #closed(stream: ChannelStream): void {
    const { connectivityState } = this.library;
    const wasReady = this.#state === 'ready';
    // Who gave up before it connected, and whoever saw the connection go, shall not meet the same channel again.
    if (!wasReady || this.#channel.getConnectivityState(false) !== connectivityState.READY) this.#state = 'broken';
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#state = 'broken';
    this.#channel.close();
    // One that is ready says goodbye by itself.
    if (wasReady) return;
    // From the top: Node 20 does not survive a TCP connection that goes away below a handshake.
    for (const giveUp of [...this.#handshakes]) giveUp();
    this.#sockets.destroy();
  }
}

const REPLACED = 'the certificate of this workload, or whom it trusts, was replaced: a new connection takes over';

/** One call on the channel. */
class ChannelStream implements XdsStream {
  #closed = false;
  #ready = false;
  #waiting: (() => void) | undefined;

  constructor(
    private readonly library: typeof grpc,
    private readonly call: ReturnType<grpc.ChannelInterface['createCall']>,
    private readonly handlers: StreamHandlers,
    private readonly onClosed: () => void,
  ) {}

  start(): void {
    this.call.start(new this.library.Metadata(), {
      onReceiveMetadata() {},
      onReceiveMessage: (message: Uint8Array) => {
        if (!this.#closed) this.handlers.message(message);
      },
      onReceiveStatus: ({ code, details }) => {
        this.end({ code, details });
      },
    });
  }

  /** It is over, and its owner is told. */
  end(end: StreamEnd): void {
    if (this.#closed) return;
    this.close();
    this.handlers.ended(end);
  }

  /** The channel is connected. */
  ready(): void {
    if (this.#closed || this.#ready) return;
    this.#ready = true;
    this.handlers.connected();
    this.#waiting?.();
    this.#waiting = undefined;
  }

  send(bytes: Uint8Array, written: () => void): void {
    // The channel may know later than its streams that it is connected.
    const callback = (): void => {
      if (this.#closed) return;
      if (this.#ready) written();
      else this.#waiting = written;
    };
    this.call.sendMessageWithContext({ callback }, asBuffer(bytes));
  }

  read(): void {
    this.call.startRead();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.call.cancelWithStatus(this.library.status.CANCELLED, 'closed by the client');
    this.onClosed();
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
