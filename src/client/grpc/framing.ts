/** gRPC's message framing: one byte of flags, four of length, then the message (grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

/** A message from the wire. `compressed` says that it has to go through the encoding that `grpc-encoding` names. */
export interface Frame {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

/** What is wrong with a stream of frames. `too-large` names the length that was announced. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  constructor(
    readonly kind: 'too-large' | 'malformed',
    message: string,
  ) {
    super(message);
  }
}

export function encodeFrame(message: Uint8Array, compressed: boolean): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  frame[0] = compressed ? 1 : 0;
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Cuts chunks into messages. Holds at most one message that is incomplete, so at most `maxMessageBytes` and a prefix. */
export class FrameReader {
  #prefix: Buffer | undefined;
  #prefixLength = 0;
  /** The message under way; undefined between messages and while its prefix is incomplete. */
  #message: Buffer | undefined;
  #filled = 0;
  #compressed = false;

  /** `maxMessageBytes`: the longest message taken, as it is on the wire; -1 is no limit. */
  constructor(private readonly maxMessageBytes: number) {}

  /** True when the stream may end here. */
  get betweenMessages(): boolean {
    return this.#message === undefined && this.#prefixLength === 0;
  }

  /** Calls `deliver` for each message that is now complete. Throws a FrameError, after which the reader is of no use. */
  push(input: Uint8Array, deliver: (frame: Frame) => void): void {
    const chunk = Buffer.isBuffer(input) ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength);
    let at = 0;
    while (at < chunk.length) {
      if (this.#message !== undefined) {
        at += this.#fill(chunk, at);
        if (this.#filled < this.#message.length) return;
        const bytes = this.#message;
        this.#message = undefined;
        deliver({ compressed: this.#compressed, bytes });
      } else if (this.#prefixLength === 0 && chunk.length - at >= PREFIX_BYTES) {
        const length = this.#open(chunk, at);
        at += PREFIX_BYTES;
        // A message that is all there is cut out of the chunk, not copied.
        if (chunk.length - at >= length) {
          const bytes = chunk.subarray(at, at + length);
          at += length;
          deliver({ compressed: this.#compressed, bytes });
        } else this.#begin(length);
      } else {
        this.#prefix ??= Buffer.allocUnsafe(PREFIX_BYTES);
        while (this.#prefixLength < PREFIX_BYTES && at < chunk.length)
          this.#prefix[this.#prefixLength++] = chunk[at++] as number;
        if (this.#prefixLength < PREFIX_BYTES) return;
        this.#prefixLength = 0;
        const length = this.#open(this.#prefix, 0);
        if (length === 0) deliver({ compressed: this.#compressed, bytes: Buffer.alloc(0) });
        else this.#begin(length);
      }
    }
  }

  /** Reads a prefix and returns the length of the message. */
  #open(source: Buffer, at: number): number {
    const flags = source[at] as number;
    if (flags > 1)
      throw new FrameError('malformed', `a gRPC message begins with flags ${flags}: this is not gRPC framing`);
    const length = source.readUInt32BE(at + 1);
    if (this.maxMessageBytes !== -1 && length > this.maxMessageBytes) {
      const limit = `${length} bytes, the limit is ${this.maxMessageBytes} (grpc.max_receive_message_length)`;
      throw new FrameError('too-large', `a received message has ${limit}`);
    }
    this.#compressed = flags === 1;
    return length;
  }

  #begin(length: number): void {
    this.#message = Buffer.allocUnsafe(length);
    this.#filled = 0;
  }

  #fill(chunk: Buffer, at: number): number {
    const copied = chunk.copy(this.#message as Buffer, this.#filled, at);
    this.#filled += copied;
    return copied;
  }
}
