import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { MeshError } from '../core/errors.js';
import { percentEncoded } from '../core/grpc-status.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import { Exchange, type ExchangeEnv } from './exchange.js';
import { InboundBody } from './inbound-body.js';
import { grpcRefusalHeaders, type Refusal, refusalReply } from './refusal.js';
import { type Accepted, isGrpc, type RequestHead } from './request.js';

/** An exchange on one HTTP/2 stream. */
class Http2Exchange extends Exchange {
  readonly #grpc: boolean;
  readonly #expectsContinue: boolean;
  #requestTrailers: HeaderFields | undefined;
  #trailers: HeaderFields = headerFields();

  constructor(
    env: ExchangeEnv,
    private readonly stream: ServerHttp2Stream,
    private readonly headers: IncomingHttpHeaders,
    private readonly endsAtOnce: boolean,
  ) {
    super(env);
    this.#grpc = isGrpc(headers);
    this.#expectsContinue = headers.expect?.toLowerCase() === '100-continue';
    stream.on('drain', () => this.drained());
    stream.on('close', () => this.gone());
    stream.on('error', () => this.gone());
    stream.on('trailers', (trailers) => {
      this.#requestTrailers = headerFields(trailers);
    });
    // Node waits for this once the last byte is queued; without trailers the stream ends with an empty DATA frame.
    stream.on('wantTrailers', () => {
      try {
        stream.sendTrailers(this.#trailers);
        this.#closeWhenSent();
      } catch {
        // A field that Node refuses: the client must not take the reply for whole.
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      }
    });
  }

  start(raw: readonly string[]): void {
    const { headers, stream } = this;
    const head: RequestHead = {
      version: '2.0',
      method: String(headers[':method']),
      target: String(headers[':path']),
      authority: headers[':authority'],
      scheme: headers[':scheme'] as string | undefined,
      raw,
    };
    this.begin(head, stream.session?.socket, this.env.policies === undefined ? stream : peekable(stream, headers));
  }

  protected override requestBody({ size }: Accepted): InboundBody | undefined {
    if (this.endsAtOnce) return undefined;
    const { stream } = this;
    return new InboundBody(
      {
        readable: stream,
        size,
        wanted: () => {
          if (this.#expectsContinue && !stream.headersSent) stream.additionalHeaders({ ':status': 100 });
        },
        whole: () => !stream.aborted,
        trailers: () => this.#requestTrailers,
      },
      this.env.limits.maxDiscardBytes,
    );
  }

  protected override sendHead(status: number, headers: HeaderFields, empty: boolean): void {
    this.stream.respond({ ...headers, ':status': status }, empty ? { endStream: true } : { waitForTrailers: true });
    if (empty) this.#closeWhenSent();
  }

  protected override flushHead(): void {
    // respond() has sent it.
  }

  protected override sendChunk(chunk: Uint8Array): boolean {
    return this.stream.write(chunk);
  }

  protected override sendEnd(trailers: HeaderFields | undefined): void {
    if (trailers !== undefined) this.#trailers = trailers;
    if (!this.stream.writableEnded) this.stream.end();
  }

  protected override sendRefusal(refusal: Refusal): void {
    const { stream } = this;
    if (stream.destroyed) return;
    if (this.#grpc) stream.respond({ ...grpcRefusalHeaders(refusal), ':status': 200 }, { endStream: true });
    else {
      const { headers, body } = refusalReply(refusal);
      stream.respond({ ...headers, ':status': refusal.status });
      if (this.headers[':method'] !== 'HEAD') stream.end(body);
    }
    this.#closeWhenSent();
  }

  protected override breakOff(error: MeshError | undefined): void {
    const { stream } = this;
    if (this.#grpc && error !== undefined && !stream.destroyed) {
      // A gRPC client learns the reason; a reset would tell it less.
      this.sendEnd(
        headerFields({
          'grpc-status': String(error.grpcStatus),
          'grpc-message': percentEncoded(error.message),
          'mesh-error': error.flag,
        }),
      );
    } else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  protected override cut(): void {
    // The stream alone: those beside it were not to be harmed.
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /**
   * The answer is complete and the request is not: "A server MAY request that the client abort transmission of a request without error"
   * (RFC 9113 section 8.1). Not at once, because nghttp2 drops what is queued for a stream that it resets; after a round trip all of it
   * has been sent, and most clients have ended the stream themselves.
   */
  #closeWhenSent(): void {
    const { stream } = this;
    if (stream.readableEnded || stream.destroyed || stream.session === undefined) return;
    // Node has at most ten PINGs under way and fails the eleventh at once: then the client is left to end its stream.
    stream.session.ping((error) => {
      if (error === null && !stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }
}

/** What Node's own `Http2ServerRequest.complete` goes by. */
interface HasState {
  readonly _readableState: { readonly ended: boolean };
}

/** What policies need to look at the start of a body, as a request of `node:http` has it. */
const peekable = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): ServerHttp2Stream =>
  Object.defineProperties(stream, {
    headers: { value: headers },
    // All of it has come, read or not.
    complete: { get: () => (stream as unknown as HasState)._readableState.ended },
  });

/** Serves one stream of a `node:http2` server. */
export function serveHttp2(
  env: ExchangeEnv,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  raw: readonly string[],
): void {
  const endsAtOnce = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
  new Http2Exchange(env, stream, headers, endsAtOnce).start(raw);
}
