import type { Readable } from 'node:stream';
import type { PeekedBody } from './peek-body.js';

/** What grpc-js has under an interceptor: the next one's call, and at last its own, which has the stream. */
interface Inner {
  readonly nextCall?: Inner;
  readonly stream?: Readable;
}

/** Interceptors of one server that are looked through. */
const MAX_INTERCEPTORS = 100;
const taps = new WeakMap<Readable, Tap>();

/**
 * Looks at the body of a gRPC call as it is on the wire (Envoy's `with_request_body`: messages with their prefixes), which interceptors are not shown: they are given messages
 * that are read already. What has come stays in grpc-js's own queue, until the handler asks for it. Undefined: this grpc-js keeps its stream elsewhere.
 */
export function grpcPeek(call: object): ((maxBytes: number) => Promise<PeekedBody>) | undefined {
  let inner = call as Inner | undefined;
  for (let i = 0; i < MAX_INTERCEPTORS && inner?.stream === undefined; i++) inner = inner?.nextCall;
  const stream = inner?.stream;
  if (typeof stream?.resume !== 'function') return undefined;
  return (maxBytes) => {
    let tap = taps.get(stream);
    if (tap === undefined) {
      tap = new Tap(stream);
      taps.set(stream, tap);
    }
    return tap.peek(maxBytes);
  };
}

/** What has come by a stream since somebody first wanted to look. Others may look again, and further. */
class Tap {
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #ended: boolean;

  constructor(private readonly stream: Readable) {
    this.#ended = stream.readableEnded || stream.destroyed;
  }

  /** Once it has come to its end, or is longer than `maxBytes`; with what there is when it breaks off. */
  async peek(maxBytes: number): Promise<PeekedBody> {
    if (!this.#ended && this.#size <= maxBytes) await this.#more(maxBytes);
    return { bytes: Buffer.concat(this.#chunks).subarray(0, maxBytes), partial: this.#size > maxBytes };
  }

  #more(maxBytes: number): Promise<void> {
    const { stream } = this;
    return new Promise((resolve) => {
      const take = (chunk: Buffer): void => {
        this.#chunks.push(chunk);
        this.#size += chunk.byteLength;
        // grpc-js, which hears of it first, stops at each message.
        if (this.#size <= maxBytes) stream.resume();
        else done();
      };
      const end = (): void => {
        this.#ended = true;
        done();
      };
      const done = (): void => {
        stream.off('data', take);
        stream.off('end', end);
        stream.off('close', end);
        // grpc-js goes on when its handler asks for a message.
        if (!this.#ended) stream.pause();
        resolve();
      };
      stream.on('data', take);
      stream.once('end', end);
      stream.once('close', end);
      stream.resume();
    });
  }
}
