import { BytesBody } from '../../core/body.js';
import { Call, type Scheme } from '../../core/call.js';
import { grpcStatusOf } from '../../core/classify.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import { headerFields, headerValue } from '../../core/headers.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { Transport } from '../../core/transport.js';
import { encodeFrame, type Frame, FrameReader } from './framing.js';
import { decodeMessage, STATUS } from './status.js';
import { formatGrpcTimeout } from './timeout.js';

export interface ServerStreamRequest {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly authority: string;
  readonly scheme: Scheme;
  /** The request, encoded. */
  readonly message: Uint8Array;
  /** Bytes that a message of the stream may have; a longer one ends it. */
  readonly maxMessageBytes: number;
  readonly userAgent: string;
  /** Milliseconds that the server is told; absent: it is told none. Nobody counts them here. */
  readonly timeoutMs?: number | undefined;
}

export interface ServerStreamListener {
  /** A message. Returns what is wrong with it, if anything: then the stream is given up. */
  message(bytes: Uint8Array): string | undefined;
  /** The connection that carries it takes no new calls, and closes once this stream is cancelled. */
  draining?(): void;
  /**
   * The gRPC status at the end. `network`: nobody answered. `onDisconnect`: of the reply, for who does not ask again over the same connection; undefined
   * where there is none.
   */
  ended(code: number, detail: string, network: boolean, onDisconnect?: Reply['onDisconnect']): void;
}

/**
 * One request and a stream of messages, over one endpoint's connections: for what the mesh itself asks of an endpoint. `ended` runs once, unless the
 * result was called before: that cancels the stream, and nothing more is heard.
 */
export function openServerStream(
  transport: Transport,
  request: ServerStreamRequest,
  listener: ServerStreamListener,
): () => void {
  const stream = new ServerStream(request, listener);
  stream.start(transport);
  return () => stream.cancel();
}

class ServerStream {
  readonly #call: Call;
  readonly #frames: FrameReader;
  #over = false;

  constructor(
    request: ServerStreamRequest,
    private readonly listener: ServerStreamListener,
  ) {
    const { path, authority, scheme, message, maxMessageBytes, userAgent, timeoutMs } = request;
    this.#frames = new FrameReader(maxMessageBytes);
    this.#call = new Call({
      protocol: 'grpc',
      scheme,
      authority,
      method: 'POST',
      path,
      headers: headerFields({
        'content-type': 'application/grpc',
        te: 'trailers',
        'user-agent': userAgent,
        'grpc-timeout': timeoutMs === undefined ? undefined : formatGrpcTimeout(timeoutMs),
      }),
      body: new BytesBody(encodeFrame(message, false)),
    });
    if (listener.draining === undefined) return;
    this.#call.onDraining = () => {
      if (!this.#over) listener.draining?.();
    };
  }

  start(transport: Transport): void {
    transport.call(this.#call).then(
      (reply) => this.#head(reply),
      (error: MeshError) => this.#end(error.grpcStatus, error.message, error.origin === 'network'),
    );
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.cancel(new CancelledError('nobody listens to the stream any more'));
  }

  #head(reply: Reply): void {
    reply.onEnd((end) => this.#finished(reply, end));
    reply.body.pipe({
      write: (chunk) => {
        this.#data(chunk);
        return true;
      },
      end() {},
      fail() {},
    });
  }

  #data(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#frames.push(chunk, (frame) => this.#message(frame));
    } catch (error) {
      this.#refuse((error as Error).message);
    }
  }

  #message({ compressed, bytes }: Frame): void {
    if (this.#over) return;
    // No encoding was offered (grpc-accept-encoding).
    const wrong = compressed ? 'a message is compressed, which was not offered' : this.listener.message(bytes);
    if (wrong !== undefined) this.#refuse(wrong);
  }

  #finished(reply: Reply, end: ReplyEnd): void {
    const code = grpcStatusOf(reply, end);
    if (code !== undefined) {
      const text = end.trailers ?? reply.headers;
      this.#end(code, decodeMessage(headerValue(text, 'grpc-message') ?? ''), false, reply);
    } else if (end.error !== undefined) {
      this.#end(end.error.grpcStatus, end.error.message, end.error.origin === 'network');
    } else {
      // grpc/doc/http-grpc-status-mapping.md: 404 is UNIMPLEMENTED.
      const status = reply.status === 404 ? STATUS.UNIMPLEMENTED : STATUS.UNKNOWN;
      this.#end(status, `HTTP status ${reply.status} without a gRPC status`, false, reply);
    }
  }

  #refuse(detail: string): void {
    // It may have been cancelled by the one who has just been told.
    if (this.#over) return;
    this.#end(STATUS.INTERNAL, detail, false);
    this.#call.cancel(new CancelledError(detail));
  }

  #end(code: number, detail: string, network: boolean, reply?: Reply): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.ended(code, detail, network, reply?.onDisconnect?.bind(reply));
  }
}
