import type { Readable } from 'node:stream';
import { type BodyFlow, type BodySink, StreamBody } from '../core/body.js';
import { CancelledError, RequestBodyError } from '../core/errors.js';
import type { HeaderFields } from '../core/headers.js';

/**
 * A client's request body on its way to the service. Nothing is read before somebody pipes it: a call that is refused costs no
 * transfer, and `100 Continue` is sent when there is a taker.
 */
export class InboundBody extends StreamBody {
  #source: Readable | undefined;
  /** Bytes read and thrown away since nobody wanted them. */
  #discarded = 0;

  /**
   * @param size from Content-Length, or undefined
   * @param onWanted runs once, before the first byte is read
   * @param trailers read when the source has ended
   */
  constructor(
    source: Readable,
    size: number | undefined,
    private readonly maxDiscardBytes: number,
    private readonly onWanted: () => void,
    trailers: () => HeaderFields | undefined,
  ) {
    super({ resume: () => source.resume(), cancel: () => this.#discard() }, size);
    this.#source = source;
    source.on('end', () => {
      this.#source = undefined;
      this.end(trailers());
    });
    source.on('error', (cause) => this.#broken(cause));
    source.on('close', () => this.#broken(undefined));
  }

  override pipe(sink: BodySink): BodyFlow {
    const source = this.#source;
    const flow = super.pipe(sink);
    if (source !== undefined && !this.ended) {
      this.onWanted();
      source.on('data', this.#onData);
    }
    return flow;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.write(chunk)) this.#source?.pause();
  };

  /** A client still sending has no more takers: a short rest is read, so that the connection can be used again; a long one is cut off. */
  #discard(): void {
    const source = this.#source;
    if (source === undefined || source.destroyed) return;
    source.off('data', this.#onData);
    source.on('data', (chunk: Buffer) => {
      this.#discarded += chunk.byteLength;
      if (this.#discarded > this.maxDiscardBytes) source.destroy();
    });
    source.resume();
  }

  #broken(cause: Error | undefined): void {
    if (this.#source === undefined) return;
    this.#source = undefined;
    if (!this.ended)
      this.fail(new RequestBodyError('the client went away while it was sending its request', { cause }));
  }
}

/** Why a call ends whose client is no longer there. */
export const clientGone = (): CancelledError => new CancelledError('the client of the proxy went away');
