import { type Body, type BodyFlow, type BodySink, BytesBody } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';

/** How much of a streaming request body is kept for its mirrors: 64 KiB, as for another attempt. A longer one is not mirrored. */
export const MIRROR_LIMIT_BYTES = 65_536;

/**
 * The body that goes to the cluster proper, of which a copy is kept. `whole` is given the copy when the last byte has passed, `tooLong` is told that there
 * will be none; one of the two, and never more than once.
 */
export class MirroredBody implements Body {
  readonly replayable = false;
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;

  constructor(
    private readonly body: Body,
    private readonly whole: (copy: Body) => void,
    private readonly tooLong: () => void,
  ) {
    if (body.size !== undefined && body.size > MIRROR_LIMIT_BYTES) this.#giveUp();
  }

  get size(): number | undefined {
    return this.body.size;
  }

  pipe(sink: BodySink): BodyFlow {
    return this.body.pipe({
      write: (chunk) => {
        this.#keep(chunk);
        return sink.write(chunk);
      },
      end: (trailers) => {
        sink.end(trailers);
        this.#end(trailers);
      },
      fail: (error) => {
        this.#kept = undefined;
        sink.fail(error);
      },
    });
  }

  cancel(reason?: MeshError): void {
    this.#kept = undefined;
    this.body.cancel(reason);
  }

  #keep(chunk: Uint8Array): void {
    if (this.#kept === undefined) return;
    this.#keptBytes += chunk.byteLength;
    if (this.#keptBytes > MIRROR_LIMIT_BYTES) this.#giveUp();
    // Whoever wrote the chunk may use its memory again.
    else this.#kept.push(chunk.slice());
  }

  #giveUp(): void {
    this.#kept = undefined;
    this.tooLong();
  }

  #end(trailers: HeaderFields | undefined): void {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) this.whole(new BytesBody(Buffer.concat(kept), trailers));
  }
}
