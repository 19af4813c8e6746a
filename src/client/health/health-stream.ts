import { BytesBody } from '../../core/body.js';
import { Call, type Scheme } from '../../core/call.js';
import { grpcStatusOf } from '../../core/classify.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import { headerFields, headerValue } from '../../core/headers.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { Transport } from '../../core/transport.js';
import { encodeFrame, type Frame, FrameReader } from '../grpc/framing.js';
import { decodeMessage, STATUS } from '../grpc/status.js';
import { formatGrpcTimeout } from '../grpc/timeout.js';
import { decodeHealthResponse, encodeHealthRequest } from './health-message.js';
import { USER_AGENT } from './http-probe.js';

/** A response has two bytes, and may have fields that are not known here. */
const MAX_MESSAGE_BYTES = 4_096;

export interface HealthRequest {
  /** Of `grpc.health.v1.Health`. */
  readonly method: 'Check' | 'Watch';
  /** '' is the server as a whole. */
  readonly service: string;
  readonly authority: string;
  readonly scheme: Scheme;
  /** Milliseconds that the server is told; undefined: it is told none. Nobody counts them here. */
  readonly timeoutMs: number | undefined;
}

export interface HealthListener {
  /** `ServingStatus` of a response. */
  message(status: number): void;
  /** The gRPC status at the end. `network`: nobody answered. */
  ended(code: number, detail: string, network: boolean): void;
}

/** Asks for health on one stream. `ended` runs once, unless the result was called before: that cancels the stream, and nothing more is heard. */
export function openHealthStream(transport: Transport, request: HealthRequest, listener: HealthListener): () => void {
  const stream = new HealthStream(request, listener);
  stream.start(transport);
  return () => stream.cancel();
}

class HealthStream {
  readonly #call: Call;
  readonly #frames = new FrameReader(MAX_MESSAGE_BYTES);
  #over = false;

  constructor(
    { method, service, authority, scheme, timeoutMs }: HealthRequest,
    private readonly listener: HealthListener,
  ) {
    this.#call = new Call({
      protocol: 'grpc',
      scheme,
      authority,
      method: 'POST',
      path: `/grpc.health.v1.Health/${method}`,
      headers: headerFields({
        'content-type': 'application/grpc',
        te: 'trailers',
        'user-agent': USER_AGENT,
        'grpc-timeout': timeoutMs === undefined ? undefined : formatGrpcTimeout(timeoutMs),
      }),
      body: new BytesBody(encodeFrame(encodeHealthRequest(service), false)),
    });
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
    this.#call.cancel(new CancelledError('the health of the endpoint is not asked for any more'));
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
    const status = compressed ? undefined : decodeHealthResponse(bytes);
    if (status === undefined) this.#refuse('the response is no grpc.health.v1.HealthCheckResponse');
    else this.listener.message(status);
  }

  #finished(reply: Reply, end: ReplyEnd): void {
    const code = grpcStatusOf(reply, end);
    if (code !== undefined) {
      const text = end.trailers ?? reply.headers;
      this.#end(code, decodeMessage(headerValue(text, 'grpc-message') ?? ''), false);
    } else if (end.error !== undefined) {
      this.#end(end.error.grpcStatus, end.error.message, end.error.origin === 'network');
    } else {
      // grpc/doc/http-grpc-status-mapping.md: 404 is UNIMPLEMENTED.
      const status = reply.status === 404 ? STATUS.UNIMPLEMENTED : STATUS.UNKNOWN;
      this.#end(status, `HTTP status ${reply.status} without a gRPC status`, false);
    }
  }

  #refuse(detail: string): void {
    this.#end(STATUS.INTERNAL, detail, false);
    this.#call.cancel(new CancelledError(detail));
  }

  #end(code: number, detail: string, network: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.listener.ended(code, detail, network);
  }
}
