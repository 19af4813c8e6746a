import type { AsyncResource } from 'node:async_hooks';
import type { MessageContext, WriteCallback } from '@grpc/grpc-js/build/src/call-interface.js';
import { type Body, type BodyProducer, BytesBody, StreamBody } from '../../core/body.js';
import { compress, type Encoding } from './compression.js';
import { encodeFrame } from './framing.js';

/** `WriteFlags.NoCompress` of grpc-js: this message goes as it is. */
const NO_COMPRESS = 2;
const NOTHING = Buffer.alloc(0);

export interface SenderOwner {
  /** There is a body to start the call with. */
  bodyReady(body: Body): void;
  /** A message could not be packed. */
  packingFailed(error: Error): void;
}

/**
 * The request's messages as a body. A request whose one message and end come in the same turn of the event loop, as generated clients
 * do for unary calls, is a body of bytes that can be sent again; any other is a stream.
 */
export class Sender implements BodyProducer {
  /** Frames that were sent before the body was made. */
  #frames: Buffer[] = [];
  #stream: StreamBody | undefined;
  #halfClosed = false;
  #over = false;
  /** Messages wait here for the one before them to be packed. */
  #packing: Promise<void> | undefined;
  #unpacked = 0;
  /** Called when there is room for the next message. Writers have one message under way at a time. */
  #callbacks: WriteCallback[] = [];

  constructor(
    private readonly encoding: Encoding,
    private readonly owner: SenderOwner,
    /** Where writers are told that there is room. */
    private readonly context: AsyncResource,
  ) {}

  send(context: MessageContext, message: Buffer): void {
    if (this.#over || this.#halfClosed) context.callback?.();
    else if (this.encoding === 'identity') this.#enqueue(encodeFrame(message, false), context.callback);
    else this.#pack(context, message, this.encoding);
  }

  halfClose(): void {
    this.#halfClosed = true;
    if (this.#unpacked > 0 || this.#over) return;
    if (this.#stream !== undefined) this.#stream.end();
    else this.owner.bodyReady(this.#bytes());
  }

  /** The turn in which the call was started is over: what has no end yet is a stream. */
  turnOver(): void {
    if (this.#halfClosed || this.#stream !== undefined || this.#over) return;
    this.#becomeStream();
  }

  resume(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) this.context.runInAsyncScope(callback);
  }

  /** The call is over: nothing more is sent, and writers that wait are let go. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#frames = [];
    this.#stream?.cancel();
    this.resume();
  }

  cancel(): void {
    this.#over = true;
    this.resume();
  }

  #bytes(): BytesBody {
    const frames = this.#frames;
    this.#frames = [];
    return new BytesBody(
      frames.length === 1 ? (frames[0] as Buffer) : frames.length === 0 ? NOTHING : Buffer.concat(frames),
    );
  }

  #becomeStream(): void {
    this.#stream = new StreamBody(this);
    for (const frame of this.#frames) this.#stream.write(frame);
    this.#frames = [];
    this.owner.bodyReady(this.#stream);
    this.resume();
  }

  #enqueue(frame: Buffer, callback: WriteCallback | undefined): void {
    if (this.#stream === undefined) {
      this.#frames.push(frame);
      if (callback !== undefined) this.#callbacks.push(callback);
    } else if (this.#stream.write(frame)) callback?.();
    else if (callback !== undefined) this.#callbacks.push(callback);
  }

  #pack(context: MessageContext, message: Buffer, encoding: 'deflate' | 'gzip'): void {
    this.#unpacked++;
    const plain = ((context.flags ?? 0) & NO_COMPRESS) !== 0;
    const packed = plain ? Promise.resolve(encodeFrame(message, false)) : packedFrame(encoding, message);
    this.#packing = Promise.all([packed, this.#packing]).then(
      ([frame]) => {
        this.#unpacked--;
        if (this.#over) return;
        this.#enqueue(frame, context.callback);
        if (this.#halfClosed) this.halfClose();
      },
      (error: Error) => this.owner.packingFailed(error),
    );
  }
}

const packedFrame = (encoding: 'deflate' | 'gzip', message: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    compress(encoding, message, (error, bytes) => (error === null ? resolve(encodeFrame(bytes, true)) : reject(error)));
  });
