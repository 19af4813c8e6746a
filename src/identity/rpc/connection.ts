import type * as grpc from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import { idleSockets } from './idle-sockets.js';

export type Grpc = typeof grpc;

/** The largest message that is read, in bytes: grpc-js's own limit, and go-spiffe's. */
export const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;

export interface RpcOptions {
  /** A gRPC target: `unix:/path`, `host:port`. */
  readonly target: string;
  /** Asked for each connection, so that a certificate that was renewed is the one that is shown. Default: plain. */
  readonly credentials?: (library: Grpc) => grpc.ChannelCredentials;
  readonly channel?: grpc.ChannelOptions;
  /** Sent with every call. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Its connections keep no process alive: who waits for an answer does. Default: they do. */
  readonly background?: boolean;
  readonly clock: Pick<Clock, 'after'>;
}

/** How a call ended that did not succeed. */
export class RpcError extends Error {
  override readonly name = 'RpcError';

  constructor(
    readonly path: string,
    /** gRPC status code. */
    readonly code: number,
    readonly details: string,
  ) {
    super(`${path}: ${details === '' ? 'no details' : details} (gRPC status ${code})`);
  }
}

export interface StreamHandlers {
  message(bytes: Uint8Array): void;
  /** Nothing comes after it; not called once the stream was cancelled. Undefined: the server ended it and all was well. */
  ended(error: RpcError | undefined): void;
}

export interface DuplexRpc {
  send(bytes: Uint8Array): void;
  cancel(): void;
}

const CHANNEL: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
  // A dead peer is noticed after 5 minutes and 20 seconds; servers allow no more pings by default.
  'grpc.keepalive_time_ms': 300_000,
  'grpc.keepalive_timeout_ms': 20_000,
};

/** "ASCII-Value → 1*( %x20-%x7E )" - gRPC over HTTP2. */
const HEADER_TEXT = /^[\x20-\x7e]*$/;

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asItIs = (bytes: Buffer): Buffer => bytes;

/**
 * Calls with raw messages to one server. grpc-js is loaded at the first. After a failure the next call has a channel of its own: one that is kept would add a
 * backoff of its own to its owner's, and answer with the error of before.
 */
export class RpcConnection {
  #client: grpc.Client | undefined;
  readonly #open = new Set<{ cancel(): void }>();
  #closed = false;

  constructor(private readonly options: RpcOptions) {}

  /** Rejects with RpcError. `limitMs`: the call ends then with DEADLINE_EXCEEDED. `metadata`: beside that of all calls. `signal`: gives up. */
  async unary(
    path: string,
    request: Uint8Array,
    limitMs: number,
    metadata: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const library = await this.#library(path);
    signal?.throwIfAborted();
    // Both may throw: nothing is to be taken back then.
    const sent = this.#metadata(library, path, metadata);
    const client = this.#connected(library);
    return new Promise((resolve, reject) => {
      let late = false;
      let stop: (() => void) | undefined;
      let over = false;
      const call = client.makeUnaryRequest(path, asBuffer, asItIs, request, sent, (error, response) => {
        over = true;
        stop?.();
        signal?.removeEventListener('abort', cancel);
        this.#open.delete(call);
        if (error === null && response !== undefined) return resolve(response);
        this.#renew(client);
        reject(
          late
            ? new RpcError(path, library.status.DEADLINE_EXCEEDED, `no answer within ${limitMs} ms`)
            : rpcError(path, error),
        );
      });
      const cancel = (): void => call.cancel();
      if (over) return;
      stop = this.options.clock.after(limitMs, () => {
        late = true;
        call.cancel();
      });
      signal?.addEventListener('abort', cancel, { once: true });
      this.#open.add(call);
    });
  }

  /** The result cancels. Never calls back before it returns. */
  serverStream(path: string, request: Uint8Array, handlers: StreamHandlers): () => void {
    return this.#stream(path, handlers, (client, metadata) =>
      client.makeServerStreamRequest(path, asBuffer, asItIs, request, metadata),
    ).cancel;
  }

  /** Never calls back before it returns. What is sent before there is a connection waits. */
  duplex(path: string, handlers: StreamHandlers): DuplexRpc {
    const waiting: Uint8Array[] = [];
    let stream: grpc.ClientDuplexStream<Uint8Array, Buffer> | undefined;
    const { cancel } = this.#stream(path, handlers, (client, metadata) => {
      stream = client.makeBidiStreamRequest<Uint8Array, Buffer>(path, asBuffer, asItIs, metadata);
      for (const bytes of waiting.splice(0)) stream.write(bytes);
      return stream;
    });
    return {
      send: (bytes) => {
        if (stream === undefined) waiting.push(bytes);
        else if (stream.writable) stream.write(bytes);
      },
      cancel,
    };
  }

  /** Cancels what is open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const call of [...this.#open]) call.cancel();
    this.#open.clear();
    this.#client?.close();
    this.#client = undefined;
  }

  /** New calls have a connection of their own, with the newest credentials; those under way finish on the old one. */
  reconnect(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.close();
  }

  #stream(
    path: string,
    handlers: StreamHandlers,
    open: (client: grpc.Client, metadata: grpc.Metadata) => grpc.ClientReadableStream<Buffer>,
  ): { readonly cancel: () => void } {
    let over = false;
    let call: grpc.ClientReadableStream<Buffer> | undefined;
    const own = {
      cancel: (): void => {
        over = true;
        this.#open.delete(own);
        call?.cancel();
      },
    };
    const ended = (error: RpcError | undefined): void => {
      if (over) return;
      over = true;
      this.#open.delete(own);
      handlers.ended(error);
    };
    this.#open.add(own);
    const start = (library: Grpc): void => {
      if (over) return;
      const metadata = this.#metadata(library, path, {});
      const client = this.#connected(library);
      call = open(client, metadata);
      call.on('data', (bytes: Buffer) => {
        if (!over) handlers.message(bytes);
      });
      // The status comes as an error where it is none of success, and as "end" where it is.
      call.on('error', (error) => {
        this.#renew(client);
        ended(rpcError(path, error));
      });
      call.on('end', () => ended(undefined));
    };
    void this.#library(path)
      .then(start)
      .catch((error: unknown) => ended(rpcError(path, error)));
    return own;
  }

  async #library(path: string): Promise<Grpc> {
    const library = await import('@grpc/grpc-js');
    if (this.#closed) throw new RpcError(path, library.status.CANCELLED, 'the connection is closed');
    return library;
  }

  #connected(library: Grpc): grpc.Client {
    if (this.#client !== undefined) return this.#client;
    const { target, credentials, channel, background } = this.options;
    const chosen = credentials?.(library) ?? library.credentials.createInsecure();
    if (background === true) idleSockets(chosen);
    this.#client = new library.Client(target, chosen, { ...CHANNEL, ...channel });
    return this.#client;
  }

  /** grpc-js's own error says what the value was, which may be a secret. */
  #metadata(library: Grpc, path: string, more: Readonly<Record<string, string>>): grpc.Metadata {
    const metadata = new library.Metadata();
    for (const [name, value] of Object.entries({ ...this.options.metadata, ...more })) {
      if (!HEADER_TEXT.test(value)) {
        const details = `metadata "${name}" has a character that no header may have: printable ASCII only`;
        throw new RpcError(path, library.status.INVALID_ARGUMENT, details);
      }
      metadata.set(name, value);
    }
    return metadata;
  }

  #renew(failed: grpc.Client): void {
    if (this.#client !== failed) return;
    this.reconnect();
  }
}

function rpcError(path: string, error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const { code = 2, details, message = '' } = (error ?? {}) as Partial<grpc.ServiceError>;
  return new RpcError(path, typeof code === 'number' ? code : 2, details ?? message);
}
