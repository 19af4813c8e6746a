import { constants, type ServerHttp2Session } from 'node:http2';

/** "an endpoint … SHOULD send an initial GOAWAY frame with the last stream identifier set to 2^31-1" - RFC 9113 section 6.8. */
const LAST_STREAM_ID = 2 ** 31 - 1;

/**
 * Ends one client's session without losing a request: first the client hears that a shutdown comes, then, a round trip later, up to
 * which stream its requests were taken; streams under way end by themselves.
 */
export class Http2Drain {
  /** Streams open now. */
  streams = 0;
  #begun = false;

  constructor(private readonly session: ServerHttp2Session) {
    session.on('stream', (stream) => {
      this.streams++;
      stream.once('close', () => {
        this.streams--;
        this.#closeWhenIdle();
      });
    });
  }

  begin(): void {
    const { session } = this;
    if (this.#begun || session.destroyed) return;
    this.#begun = true;
    if (this.streams > 0) {
      session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
      session.ping(() => this.#close());
    }
    this.#closeWhenIdle();
  }

  /** nghttp2 reads no more once a GOAWAY is out and no stream is open, so the answer to the PING would never be seen. */
  #closeWhenIdle(): void {
    if (this.#begun && this.streams === 0) this.#close();
  }

  #close(): void {
    if (!this.session.destroyed) this.session.close();
  }
}
