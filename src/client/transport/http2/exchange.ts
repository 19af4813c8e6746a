import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import {
  type Body,
  type BodyFlow,
  type BodyProducer,
  type BodySink,
  BytesBody,
  StreamBody,
} from '../../../core/body.js';
import type { Call } from '../../../core/call.js';
import { CancelledError, type MeshError, RequestBodyError, asMeshError } from '../../../core/errors.js';
import type { HeaderFields } from '../../../core/headers.js';
import { type EndListener, type Reply, ReplyEnding } from '../../../core/reply.js';
import { ProtocolError } from '../errors.js';
import type { Connection } from './connection.js';
import { requestHeaders } from './headers.js';

/** The exchange that a stream carries, so that all streams share their listeners instead of having closures of their own. */
const EXCHANGE = Symbol('inmesh.exchange');
type Stream = ClientHttp2Stream & { [EXCHANGE]: Exchange | undefined };

const NOTHING = new BytesBody(new Uint8Array(0));
/** The head carried END_STREAM: there is no body (RFC 9113 section 6.2). */
const END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;

/** One call on one stream: sends the request, is its reply, and frees the stream's place on the connection at the end. */
export class Exchange implements Reply, BodySink, BodyProducer {
  /** 0 until the head is there. */
  status = 0;
  headers: HeaderFields = Object.create(null);
  body: Body = NOTHING;
  readonly #ending = new ReplyEnding();
  #stream: Stream | undefined;
  /** The reply's body while it is under way. */
  #replyBody: StreamBody | undefined;
  /** Body before the head: Node tells of a head in a tick of its own, and one read may bring both, over TLS also while something is being written. */
  #early: Buffer[] | undefined;
  #trailers: HeaderFields | undefined;
  #requestTrailers: HeaderFields | undefined;
  #requestFlow: BodyFlow | undefined;
  /** The request's last byte was handed to the stream. */
  #requestSent = false;
  /** Settled, one way or the other; what comes later is ignored. */
  #over = false;
  #bytesSent = 0;
  #bytesReceived = 0;
  /** What the stream reported before it closed. */
  #cause: Error | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly call: Call,
    private readonly resolve: (reply: Reply) => void,
    private readonly reject: (error: MeshError) => void,
  ) {}

  /** Opens the stream. Throws only an InvalidRequestError, before anything was sent. */
  start(): void {
    const { call } = this;
    const headers = requestHeaders(call, this.connection.maxHeaderListBytes);
    const body = call.body;
    const bytes = body instanceof BytesBody ? body : undefined;
    const empty = body === undefined || (bytes?.size === 0 && bytes.trailers === undefined);
    if (!empty && call.protocol === 'http' && body.size !== undefined) headers['content-length'] ??= String(body.size);
    // A gRPC request ends with its last message; any other body may turn out to have trailers.
    const trailers = !empty && call.protocol !== 'grpc' && (bytes === undefined || bytes.trailers !== undefined);
    const stream = this.connection.request(headers, empty, trailers) as Stream;
    this.#stream = stream;
    stream[EXCHANGE] = this;
    stream.on('error', onError);
    stream.on('close', onClose);
    stream.on('response', onResponse);
    stream.on('trailers', onTrailers);
    stream.on('data', onData);
    stream.on('end', onEnd);
    call.cancellation.add(this.#onCancel);
    if (call.onDraining !== undefined) this.connection.onDraining.add(call.onDraining);
    if (empty) this.#requestSent = true;
    else if (trailers) {
      stream.on('wantTrailers', onWantTrailers);
      this.#sendBody(stream, body);
    } else if (bytes !== undefined) {
      this.#requestSent = true;
      this.#bytesSent = bytes.size;
      stream.end(bytes.bytes);
    } else this.#sendBody(stream, body);
  }

  onEnd(listener: EndListener): void {
    this.#ending.onEnd(listener);
  }

  onDisconnect(listener: () => void): () => void {
    return this.connection.disconnect.on(listener);
  }

  // The request body, pushed by whoever has it.

  #sendBody(stream: Stream, body: Body): void {
    stream.on('drain', onDrain);
    this.#requestFlow = body.pipe(this);
  }

  write(chunk: Uint8Array): boolean {
    // False after the end: nobody takes more, and a replayed body must not be drained by an attempt that is over.
    if (this.#over || this.#requestSent) return false;
    this.#bytesSent += chunk.byteLength;
    return (this.#stream as Stream).write(chunk);
  }

  end(trailers?: HeaderFields): void {
    if (this.#over || this.#requestSent) return;
    this.#requestSent = true;
    this.#requestTrailers = trailers;
    (this.#stream as Stream).end();
  }

  fail(error: MeshError): void {
    if (this.#over) return;
    this.#abort(constants.NGHTTP2_CANCEL);
    this.#failed(asMeshError(error, (cause) => new RequestBodyError('the request body broke off', { cause })));
  }

  drained(): void {
    this.#requestFlow?.resume();
  }

  requestTrailers(): HeaderFields {
    return this.#requestTrailers ?? {};
  }

  // The reply body, as its producer.

  resume(): void {
    this.#stream?.resume();
  }

  cancel(reason: MeshError | undefined): void {
    if (this.#over) return;
    this.#abort(constants.NGHTTP2_CANCEL);
    this.#settle(reason ?? new CancelledError('the reply was not wanted any more', 'yes'));
  }

  readonly #onCancel = (reason: MeshError): void => {
    if (this.#over) return;
    this.#abort(constants.NGHTTP2_CANCEL);
    if (this.status === 0) this.connection.suspect();
    this.#failed(reason);
  };

  // What the stream reports.

  head(headers: IncomingHttpHeaders & { ':status'?: number }, endStream: boolean): void {
    this.connection.answered();
    if (this.#over || this.status !== 0) return;
    const status = headers[':status'];
    if (status === undefined || status < 200 || status > 999) {
      this.#abort(constants.NGHTTP2_PROTOCOL_ERROR);
      this.#failed(new ProtocolError(this.connection.endpoint, `:status ${status} ends a reply`, 'yes'));
      return;
    }
    // Node gives a fresh null-prototype object for each header block, in dictionary mode already: ours to keep and cut.
    delete headers[':status'];
    this.status = status;
    this.headers = headers as HeaderFields;
    if (endStream) {
      this.#succeeded();
    } else {
      this.#replyBody = new StreamBody(this, contentLength(headers));
      this.body = this.#replyBody;
      for (const chunk of this.#early ?? []) this.data(chunk);
      this.#early = undefined;
    }
    this.resolve(this);
  }

  data(chunk: Buffer): void {
    if (this.#over) return;
    const body = this.#replyBody;
    if (body === undefined) {
      this.#early = [...(this.#early ?? []), chunk];
      return;
    }
    this.#bytesReceived += chunk.byteLength;
    if (!body.write(chunk)) this.#stream?.pause();
  }

  trailers(trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers as HeaderFields;
  }

  /** Every byte of the reply was delivered. */
  ended(): void {
    if (this.#over) {
      // Given up, and then closed by the server: Node would wait for writes that it cannot finish any more.
      if (this.#stream?.closed) this.#stream.destroy();
      return;
    }
    const body = this.#replyBody;
    if (this.status === 0 || !this.#complete(body?.size)) {
      // `closed` tells why. With writes pending, Node would not come to it after a reset with NO_ERROR.
      this.#stream?.destroy();
      return;
    }
    this.#succeeded();
    body?.end(this.#trailers);
  }

  /**
   * Whether 'end' is the end of the reply, and not just of the stream: Node emits it for streams that were reset or lost their
   * connection, too. Those come to `closed` next. (A reset with NO_ERROR of a reply of unknown length cannot be told from an end.)
   */
  #complete(size: number | undefined): boolean {
    if (this.#trailers !== undefined) return true;
    if (size !== undefined) return this.#bytesReceived >= size;
    return (this.#stream as Stream).rstCode === constants.NGHTTP2_NO_ERROR;
  }

  errored(error: Error): void {
    this.#cause ??= error;
  }

  closed(): void {
    const stream = this.#stream as Stream;
    // Node keeps closed streams until the next full collection: all that hangs on one would be promoted with it.
    stream[EXCHANGE] = undefined;
    this.connection.release();
    if (!this.#over) this.#failed(this.connection.streamError(stream, this.status !== 0, this.#cause));
  }

  /**
   * Resets the stream and lets go of what it still holds. A stream that the server has closed is destroyed: with bytes unread or writes
   * pending, Node would keep it for ever. The code is never NO_ERROR, for the same reason.
   */
  #abort(code: number): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    if (stream.closed) stream.destroy();
    else stream.close(code);
    stream.resume();
  }

  #succeeded(): void {
    // The server has answered without waiting for the rest of the request, which it may: what is left is not sent (RFC 9113 section
    // 8.1). The request's body is not cancelled: it belongs to the call, which may try again.
    if (!this.#stream?.writableFinished) this.#abort(constants.NGHTTP2_CANCEL);
    this.#settle(undefined);
  }

  #failed(error: MeshError): void {
    const head = this.status !== 0;
    this.#settle(error);
    if (head) this.#replyBody?.fail(error);
    else this.reject(error);
  }

  #settle(error: MeshError | undefined): void {
    this.#over = true;
    const { cancellation, onDraining } = this.call;
    cancellation.remove(this.#onCancel);
    if (onDraining !== undefined) this.connection.onDraining.delete(onDraining);
    this.#ending.settle({
      error,
      trailers: this.#trailers,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
    });
  }
}

function contentLength(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function onResponse(this: Stream, headers: IncomingHttpHeaders, flags: number): void {
  this[EXCHANGE]?.head(headers, (flags & END_STREAM) !== 0);
}
function onData(this: Stream, chunk: Buffer): void {
  this[EXCHANGE]?.data(chunk);
}
function onTrailers(this: Stream, trailers: IncomingHttpHeaders): void {
  this[EXCHANGE]?.trailers(trailers);
}
function onEnd(this: Stream): void {
  this[EXCHANGE]?.ended();
}
function onError(this: Stream, error: Error): void {
  this[EXCHANGE]?.errored(error);
}
function onClose(this: Stream): void {
  this[EXCHANGE]?.closed();
}
function onDrain(this: Stream): void {
  this[EXCHANGE]?.drained();
}
function onWantTrailers(this: Stream): void {
  this.sendTrailers(this[EXCHANGE]?.requestTrailers() ?? {});
}
