import type { AsyncResource } from 'node:async_hooks';
import { type BodyProducer, BytesBody, StreamBody } from '../../../core/body.js';
import type { Call } from '../../../core/call.js';
import { CancelledError, type MeshError } from '../../../core/errors.js';
import type { HeaderFields } from '../../../core/headers.js';
import { isIdempotent } from '../../../core/idempotency.js';
import { type EndListener, type Reply, ReplyEnding } from '../../../core/reply.js';
import { ConnectionLostError } from '../errors.js';
import { exchangeError } from './failure.js';
import { closesConnection, contentLength, headerFieldsOf, type UnreadHeaders } from './headers.js';
import { RequestBodyReadable } from './request-body.js';

/** Who lends exchanges their connections. */
export interface ExchangeOwner {
  /** What errors call the endpoint. */
  readonly endpoint: string;
  /** The exchange waits no more: it was cancelled in the line. */
  leave(exchange: Exchange): void;
  /** The connection went away before anything was written: the exchange needs another one. */
  again(exchange: Exchange): void;
  /** The server closed the connection as it was used again: the exchange needs one that was not used before. `error`: how it fails without. */
  afresh(exchange: Exchange, error: MeshError): void;
}

/** The connection's side: told when it is free again. */
export interface ExchangeCarrier {
  /** It lay idle before the exchange that it carries now. */
  readonly reused: boolean;
  /** The exchange is over; `reusable` unless the reply or the failure ended the connection too. */
  finished(reusable: boolean): void;
}

/** What a connection fails an exchange with that it took but never wrote. Never seen outside of this folder. */
export const UNSENT = new Error('the connection was closed before the request was written');

/** undici's handler as its parser calls it. Fields are name, value, name, value. False: wait until `goOn` is called. */
interface WireHandler {
  onConnect(abort: (reason: Error) => void): void;
  onResponseStarted(): void;
  onHeaders(status: number, fields: Buffer[], goOn: () => void): boolean;
  onData(chunk: Buffer): boolean;
  onComplete(trailers: Buffer[]): void;
  onError(error: Error): void;
}

const NO_FIELDS: Buffer[] = [];

/** A reply may pause between two chunks for this long: Envoy's `stream_idle_timeout`, 5 minutes. To the head, the call's deadline counts. */
export const BODY_TIMEOUT_MS = 300_000;

/**
 * One request and its reply: undici tells it what happens on the wire, the caller sees it as a Reply. One object for both sides,
 * because there is one per call. Of undici's two shapes of a handler this is the one that its parser calls itself; the other one is
 * an adapter around it, which makes two objects a request and parses headers that perhaps nobody reads.
 */
export class Exchange implements WireHandler, Reply, UnreadHeaders, BodyProducer {
  status = 0;
  body!: StreamBody;
  /** That of the call, when it had to wait for a connection. Written by the pool. */
  context: AsyncResource | undefined;
  /** Holds one of the cluster's places in line. Written by the pool. */
  inLine = false;
  readonly #ending = new ReplyEnding();
  /** Set once undici has begun to write the request. Closes the connection. */
  #abort: ((reason: Error) => void) | undefined;
  /** Lets the parser go on, which stops after a callback that returned false. */
  #goOn: (() => void) | undefined;
  #paused = false;
  #raw: Buffer[] = NO_FIELDS;
  #fields: HeaderFields | undefined;
  #carrier: ExchangeCarrier | undefined;
  #upload: RequestBodyReadable | undefined;
  #answered = false;
  #headed = false;
  #over = false;
  /** It was sent again after the server had closed a connection as it was reused: once is enough. */
  #resent = false;
  #received = 0;

  constructor(
    readonly call: Call,
    private readonly owner: ExchangeOwner,
    private readonly resolve: (reply: Reply) => void,
    private readonly reject: (error: MeshError) => void,
  ) {
    call.cancellation.add(this.#cancelled);
  }

  /** True once the caller has its answer, or its error. */
  get over(): boolean {
    return this.#over;
  }

  /** The body as undici takes it. `carrier` is the connection that is about to write the request. */
  begin(carrier: ExchangeCarrier): Uint8Array | RequestBodyReadable | null {
    this.#carrier = carrier;
    const { body } = this.call;
    if (body === undefined) return null;
    if (body instanceof BytesBody) return body.bytes;
    // One that met a dying connection kept its stream: undici never took it.
    this.#upload ??= new RequestBodyReadable(body);
    return this.#upload;
  }

  /** Parsed when they are first read. */
  get headers(): HeaderFields {
    this.#fields ??= headerFieldsOf(this.#raw);
    return this.#fields;
  }

  get rawHeaders(): Buffer[] | undefined {
    return this.#fields === undefined ? this.#raw : undefined;
  }

  onEnd(listener: EndListener): void {
    this.#ending.onEnd(listener);
  }

  /** Ends it before it was sent, or while it waits. */
  fail(error: MeshError): void {
    if (this.#over) return;
    this.#over = true;
    this.call.cancellation.remove(this.#cancelled);
    if (!this.#headed) {
      if (this.#upload !== undefined) this.#upload.destroy();
      else this.call.body?.cancel(error);
    }
    this.#ending.settle({ error, trailers: undefined, bytesSent: this.#sent(), bytesReceived: this.#received });
    if (this.#headed) this.body.fail(error);
    else this.reject(error);
  }

  // What undici tells.

  onConnect(abort: (reason: Error) => void): void {
    this.#abort = abort;
    const { reason } = this.call.cancellation;
    if (reason !== undefined) abort(reason);
  }

  /** The first byte of an answer. */
  onResponseStarted(): void {
    this.#answered = true;
  }

  onHeaders(status: number, raw: Buffer[], goOn: () => void): boolean {
    // Informational replies say nothing that a caller waits for.
    if (status < 200) return true;
    this.status = status;
    this.#raw = raw;
    this.#goOn = goOn;
    this.body = new StreamBody(this, this.call.method === 'HEAD' ? 0 : contentLength(raw));
    this.#headed = true;
    this.resolve(this);
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#received += chunk.byteLength;
    this.#paused = !this.body.write(chunk);
    return !this.#paused;
  }

  onComplete(raw: Buffer[]): void {
    const trailers = raw.length === 0 ? undefined : headerFieldsOf(raw);
    this.#over = true;
    this.call.cancellation.remove(this.#cancelled);
    // undici closes the connection after a reply to HEAD, in case that the server sends a body nevertheless.
    this.#carrier?.finished(this.call.method !== 'HEAD' && !closesConnection(this.#raw));
    this.#ending.settle({ error: undefined, trailers, bytesSent: this.#sent(), bytesReceived: this.#received });
    this.body.end(trailers);
  }

  onError(error: Error): void {
    const started = this.#abort !== undefined;
    const carrier = this.#carrier;
    this.#carrier = undefined;
    if (error === UNSENT && !started && !this.#over) {
      this.owner.again(this);
      return;
    }
    carrier?.finished(!started);
    const failure = exchangeError(this.owner.endpoint, error, {
      started,
      answered: this.#answered,
      headed: this.#headed,
      writeBytes: this.#upload === undefined ? (this.call.body?.size ?? 0) : undefined,
    });
    if (carrier?.reused && failure !== error && this.#raced(failure)) {
      this.#resent = true;
      this.#abort = undefined;
      this.owner.afresh(this, failure);
    } else this.fail(failure);
  }

  /**
   * Whether the server closed the idle connection while the request was on its way: nothing came back on a connection that was used before. It is sent
   * again when its method is idempotent, or where there is "some means to detect that the original request was never applied"; and once: "A client SHOULD
   * NOT automatically retry a failed automatic retry." - RFC 9110 section 9.2.2
   */
  #raced(failure: MeshError): boolean {
    if (this.#resent || !(failure instanceof ConnectionLostError) || failure.reached === 'yes') return false;
    const { body, cancellation } = this.call;
    if (cancellation.cancelled || (body !== undefined && !(body instanceof BytesBody))) return false;
    return failure.reached === 'no' || this.call.resendable || isIdempotent(this.call);
  }

  // What the reader of the reply tells.

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#goOn?.();
  }

  cancel(reason: MeshError | undefined): void {
    this.#abort?.(reason ?? new CancelledError('the reply was not read to its end', 'yes'));
  }

  readonly #cancelled = (reason: MeshError): void => {
    if (this.#abort !== undefined) {
      this.#abort(reason);
      return;
    }
    if (this.#carrier === undefined) this.owner.leave(this);
    // With a carrier, undici holds it already and cannot be asked to give it back: it is stopped at its start.
    this.fail(reason);
  };

  #sent(): number {
    return this.#upload?.sent ?? this.call.body?.size ?? 0;
  }
}
