import type { Readable } from 'node:stream';
import { type BodyFlow, type BodySink, StreamBody } from '../core/body.js';
import { CancelledError, RequestBodyError } from '../core/errors.js';
import type { HeaderFields } from '../core/headers.js';

/** Where a request body comes from: a `node:http` message or a `node:http2` stream. */
export interface InboundSource {
  readonly readable: Readable;
  /** From Content-Length, or undefined. */
  readonly size: number | undefined;
  /** Runs once, before the first byte is read. */
  wanted(): void;
  /** Asked at the end: whether all of it has come. A stream that is cut off ends, too. */
  whole(): boolean;
  /** Asked at the end. */
  trailers(): HeaderFields | undefined;
}

/**
 * A client's request body on its way to the service. Nothing is read before somebody pipes it: a call that is refused costs no
 * transfer, and `100 Continue` is sent when there is a taker.
 */
export class InboundBody extends StreamBody {
  /** Undefined once it has ended, one way or the other. */
  #source: InboundSource | undefined;
  /** Bytes read and thrown away since nobody wanted them. */
  #discarded = 0;

  constructor(
    source: InboundSource,
    private readonly maxDiscardBytes: number,
  ) {
    const { readable } = source;
    super({ resume: () => readable.resume(), cancel: () => this.#discard() }, source.size);
    this.#source = source;
    readable.on('end', () => {
      if (!source.whole()) return this.broken(undefined);
      this.#source = undefined;
      this.end(source.trailers());
    });
    readable.on('error', (cause) => this.broken(cause));
    readable.on('close', () => this.broken(undefined));
  }

  override pipe(sink: BodySink): BodyFlow {
    const source = this.#source;
    const flow = super.pipe(sink);
    if (source !== undefined && !this.ended) {
      source.wanted();
      source.readable.on('data', this.#onData);
    }
    return flow;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.write(chunk)) this.#source?.readable.pause();
  };

  /** A client still sending has no more takers: a short rest is read, so that the connection can be used again; a long one is cut off. */
  #discard(): void {
    const readable = this.#source?.readable;
    if (readable === undefined || readable.destroyed) return;
    readable.off('data', this.#onData);
    readable.on('data', (chunk: Buffer) => {
      this.#discarded += chunk.byteLength;
      if (this.#discarded > this.maxDiscardBytes) readable.destroy();
    });
    readable.resume();
  }

  /** The client is gone: what it has not sent will not come. */
  broken(cause: Error | undefined): void {
    if (this.#source === undefined) return;
    this.#source = undefined;
    if (!this.ended)
      this.fail(new RequestBodyError('the client went away while it was sending its request', { cause }));
  }
}

/** Why a call ends whose client is no longer there. */
export const clientGone = (): CancelledError => new CancelledError('the client of the proxy went away');
