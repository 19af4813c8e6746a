import { Readable } from 'node:stream';
import type { Body, BodyFlow } from '../../../core/body.js';
import type { MeshError } from '../../../core/errors.js';

/**
 * A pushed body as the Readable that undici takes. The body is piped when undici first asks, so one whose call never gets a
 * connection is not touched. HTTP/1.1 request trailers are not sent: undici cannot write them.
 */
export class RequestBodyReadable extends Readable {
  #flow: BodyFlow | undefined;
  #started = false;
  /** Bytes handed on so far. */
  sent = 0;

  constructor(private readonly body: Body) {
    super({ highWaterMark: 65_536 });
  }

  override _read(): void {
    if (this.#started) {
      this.#flow?.resume();
      return;
    }
    this.#started = true;
    this.#flow = this.body.pipe({
      write: (chunk) => {
        this.sent += chunk.byteLength;
        return this.push(chunk);
      },
      end: () => {
        this.push(null);
      },
      fail: (error: MeshError) => {
        this.destroy(error);
      },
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // A body that was not taken, or not to its end, must let go of what is behind it. No-op after its end.
    if (!this.readableEnded) this.body.cancel();
    callback(error);
  }
}
