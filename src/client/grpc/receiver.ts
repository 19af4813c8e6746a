import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import type { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import { decompress, isTooLarge } from './compression.js';
import { type Frame, type FrameError, FrameReader } from './framing.js';
import { STATUS } from './status.js';

export interface ReceiverOwner {
  message(bytes: Buffer): void;
  /** All messages were delivered; `complete` is false when the last one was cut off. */
  ended(trailers: HeaderFields | undefined, complete: boolean): void;
  broken(error: MeshError): void;
  /** What came cannot be understood, or must not be: the status for it. */
  refused(code: number, details: string): void;
}

/**
 * The reply's body as messages: one for each `want`, so that a reader that is slow holds the server back. Messages are delivered in
 * order, and the end comes after the last of them.
 */
export class Receiver implements BodySink {
  readonly #reader: FrameReader;
  /** Complete messages that nobody has asked for yet. */
  readonly #queue: Frame[] = [];
  #flow: BodyFlow | undefined;
  /** The reader has asked for a message. */
  #wanted = false;
  /** `write` returned false. */
  #paused = false;
  /** A message is being unpacked, or handed over: what follows has to wait. */
  #busy = false;
  #over = false;
  #end: { readonly trailers: HeaderFields | undefined } | undefined;
  readonly #enqueue = (frame: Frame): void => {
    this.#queue.push(frame);
  };

  constructor(
    private readonly maxMessageBytes: number,
    /** As `grpc-encoding` says. */
    private readonly encoding: string | undefined,
    private readonly owner: ReceiverOwner,
  ) {
    this.#reader = new FrameReader(maxMessageBytes);
  }

  start(body: Body, wanted: boolean): void {
    this.#wanted = wanted;
    this.#flow = body.pipe(this);
    // Chunks may have come before there was a flow to resume.
    this.#deliver();
  }

  want(): void {
    this.#wanted = true;
    this.#deliver();
  }

  stop(): void {
    this.#over = true;
    this.#queue.length = 0;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    try {
      this.#reader.push(chunk, this.#enqueue);
    } catch (error) {
      this.#refuse(error as FrameError);
      return true;
    }
    this.#deliver();
    // Whoever waits for a message gets one; a queue means that nobody does.
    this.#paused = !this.#over && this.#queue.length > 0;
    return !this.#paused;
  }

  end(trailers?: HeaderFields): void {
    if (this.#over) return;
    this.#end = { trailers };
    this.#deliver();
  }

  fail(error: MeshError): void {
    if (this.#over) return;
    this.stop();
    this.owner.broken(error);
  }

  #deliver(): void {
    while (!this.#busy && !this.#over) {
      if (this.#queue.length === 0) {
        this.#finish();
        return;
      }
      if (!this.#wanted) return;
      this.#wanted = false;
      const frame = this.#queue.shift() as Frame;
      this.#busy = true;
      if (frame.compressed) this.#unpack(frame.bytes);
      else this.#hand(frame.bytes);
    }
  }

  #hand(bytes: Buffer): void {
    try {
      this.owner.message(bytes);
    } finally {
      this.#busy = false;
    }
  }

  /** The queue is empty: more is welcome, or this was all. */
  #finish(): void {
    if (this.#end !== undefined) {
      this.#over = true;
      this.owner.ended(this.#end.trailers, this.#reader.betweenMessages);
    } else if (this.#paused && this.#wanted) {
      this.#paused = false;
      this.#flow?.resume();
    }
  }

  #unpack(bytes: Buffer): void {
    const { encoding } = this;
    if (encoding === undefined || encoding === 'identity') {
      return this.#fail(STATUS.INTERNAL, 'a received message is compressed, but grpc-encoding names no encoding');
    }
    if (encoding !== 'gzip' && encoding !== 'deflate') {
      const offer = 'which was not offered (grpc-accept-encoding)';
      return this.#fail(STATUS.INTERNAL, `a received message is compressed with "${encoding}", ${offer}`);
    }
    decompress(encoding, bytes, this.maxMessageBytes, (error, plain) => {
      if (this.#over) return;
      if (error === null) {
        this.#hand(plain);
        this.#deliver();
      } else if (isTooLarge(error)) {
        const limit = `${this.maxMessageBytes} bytes (grpc.max_receive_message_length)`;
        this.#fail(STATUS.RESOURCE_EXHAUSTED, `a received message unpacks to more than ${limit}`);
      } else this.#fail(STATUS.INTERNAL, `a received message cannot be unpacked as ${encoding}: ${error.message}`);
    });
  }

  #refuse(error: FrameError): void {
    this.#fail(error.kind === 'too-large' ? STATUS.RESOURCE_EXHAUSTED : STATUS.INTERNAL, error.message);
  }

  #fail(code: number, details: string): void {
    this.stop();
    this.owner.refused(code, details);
  }
}
