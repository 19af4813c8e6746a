import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import { PulledBody, type Source } from './source.js';

/** Bytes and Blobs in a row. Their size is known, and a Blob can be read again, so it can be sent again. */
export class PartsBody implements Body {
  readonly replayable = true;
  readonly size: number;
  #current: PulledBody | undefined;

  constructor(private readonly parts: readonly (Uint8Array | Blob)[]) {
    this.size = parts.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.byteLength : part.size), 0);
  }

  pipe(sink: BodySink): BodyFlow {
    this.#current?.cancel();
    this.#current = new PulledBody(partsSource(this.parts));
    return this.#current.pipe(sink);
  }

  cancel(reason?: MeshError): void {
    this.#current?.cancel(reason);
    this.#current = undefined;
  }
}

function partsSource(parts: readonly (Uint8Array | Blob)[]): Source {
  let at = 0;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return {
    async next() {
      for (;;) {
        if (reader !== undefined) {
          const { done, value } = await reader.read();
          if (!done) return { value };
          reader = undefined;
        }
        const part = parts[at++];
        if (part === undefined) return { done: true };
        if (part instanceof Uint8Array) return { value: part };
        reader = part.stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
      }
    },
    stop(reason) {
      reader?.cancel(reason).catch(() => {});
    },
  };
}
