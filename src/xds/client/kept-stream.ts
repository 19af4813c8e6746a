import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import { Attempts } from '../attempts.js';
import type { ServerTransport, StreamEnd, XdsStream } from './transport.js';

/** A stream that answered and ended is opened again at once, but a server that does only that is not asked more often than this. */
const MIN_REOPEN_MS = 1_000;

/** One message to send. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  /** It left on a connection that stands. */
  written(): void;
}

/** What the owner of a stream is told and asked. */
export interface StreamOwner {
  /** A new stream begins, of which the server knows nothing; returns the gRPC method to call. */
  opening(): string;
  connected(): void;
  /** The next message to send, or undefined. Asked whenever one can leave, so what is told is never old. `first` on this stream. */
  next(first: boolean): Outgoing | undefined;
  /**
   * A message. Calls `understood` once it knows what it is, which may take a while; resolves when it is dealt with, and only then is the next
   * one read. `live` tells whether the stream it came on still stands.
   */
  received(bytes: Uint8Array, live: () => boolean, understood: () => void): Promise<void>;
  /** The stream was refused before any response. True: the owner goes on in another way, at once. */
  refused(end: StreamEnd): boolean;
  /** The stream ended. `failed`: before any response, which is a connectivity error (gRFC A57). */
  ended(details: string, failed: boolean): void;
}

/** Keeps one stream open to one server: connects, waits, tries again, and lets one message in and one out at a time. */
export class KeptStream {
  #stream: XdsStream | undefined;
  #started = false;
  #closed = false;
  /** Either one is under way or the next is waited for. Neither keeps the process alive, nor does the connection: who waits for it does. */
  readonly #attempts: Attempts;
  #startedAt = 0;
  #answered = false;
  #sentFirst = false;
  #writing = false;
  #reading = false;
  /** The next attempt is waited for. */
  #pausing = false;
  /** A message is being dealt with, perhaps one of the stream before. */
  #busy = false;

  constructor(
    private readonly transport: () => Promise<ServerTransport>,
    private readonly owner: StreamOwner,
    private readonly clock: Clock,
    random: Random,
  ) {
    this.#attempts = new Attempts(clock, random);
  }

  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    this.#connect();
  }

  /** There may be something to send. */
  pump(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#writing) return;
    let message: Outgoing | undefined;
    try {
      message = this.owner.next(!this.#sentFirst);
    } catch (error) {
      this.#giveUp(stream, `a request cannot be written: ${(error as Error).message}`);
      return;
    }
    if (message === undefined) return;
    const { bytes, written } = message;
    if (!this.#sentFirst) this.#beginAttempt(stream);
    this.#sentFirst = true;
    this.#writing = true;
    stream.send(bytes, () => {
      if (stream !== this.#stream) return;
      this.#writing = false;
      this.#attempts.stop();
      written();
      this.pump();
    });
  }

  /** What kept it from connecting may be gone: the next attempt is made now (gRPC's ResetConnectBackoff). */
  resetBackoff(): void {
    if (!this.#pausing || this.#closed) return;
    this.#attempts.answered();
    this.#attempts.stop();
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#attempts.stop();
    this.#stream?.close();
    this.#stream = undefined;
  }

  #connect(): void {
    this.#pausing = false;
    this.transport().then(
      (transport) => {
        if (!this.#closed) this.#open(transport);
      },
      (error: unknown) => {
        if (!this.#closed) this.#over(`no connection can be made: ${String(error)}`, true);
      },
    );
  }

  #open(transport: ServerTransport): void {
    this.#startedAt = this.clock.now();
    this.#answered = false;
    this.#sentFirst = false;
    this.#writing = false;
    this.#reading = false;
    const stream: XdsStream = transport(this.owner.opening(), {
      connected: () => {
        if (stream !== this.#stream) return;
        if (!this.#writing) this.#attempts.stop();
        this.owner.connected();
      },
      message: (bytes) => {
        if (stream === this.#stream) this.#message(stream, bytes);
      },
      ended: (end) => {
        if (stream === this.#stream) this.#ended(end);
      },
    });
    this.#stream = stream;
    this.#beginAttempt(stream);
    this.pump();
    this.#read();
  }

  /** It has to connect, and to take a first message: a peer may connect and accept no stream (HTTP/2, SETTINGS_MAX_CONCURRENT_STREAMS 0). */
  #beginAttempt(stream: XdsStream): void {
    this.#attempts.begun((details) => this.#giveUp(stream, details), true);
  }

  #read(): void {
    if (this.#stream === undefined || this.#reading || this.#busy) return;
    this.#reading = true;
    this.#stream.read();
  }

  #message(stream: XdsStream, bytes: Uint8Array): void {
    this.#reading = false;
    this.#answered = true;
    this.#busy = true;
    let isResponse = false;
    const understood = (): void => {
      isResponse = true;
      // What is no response does not end the backoff.
      if (stream === this.#stream) this.#attempts.answered();
    };
    this.owner
      .received(bytes, () => stream === this.#stream, understood)
      .then(
        () => this.#dealtWith(),
        (error: unknown) => {
          this.#busy = false;
          // Without type and nonce it cannot even be refused.
          const problem = isResponse
            ? `a response cannot be dealt with: ${String(error)}`
            : `the server sent what is no response: ${(error as Error).message}`;
          if (stream === this.#stream) this.#giveUp(stream, problem);
          else this.#dealtWith();
        },
      );
  }

  #dealtWith(): void {
    this.#busy = false;
    if (this.#closed) return;
    this.pump();
    this.#read();
  }

  #ended(end: StreamEnd): void {
    if (!this.#answered && this.owner.refused(end)) {
      this.#stream = undefined;
      this.#attempts.stop();
      this.#connect();
      return;
    }
    // "we do not consider it an error if the ADS stream was closed after having received a response" - A57
    this.#over(`stream ended with gRPC status ${end.code}: ${end.details || 'no details'}`, !this.#answered);
  }

  /** Ends a stream that cannot go on, as if the server could not be reached. */
  #giveUp(stream: XdsStream, details: string): void {
    stream.close();
    this.#over(details, true);
  }

  #over(details: string, failed: boolean): void {
    this.#stream = undefined;
    if (failed) this.#attempts.failed();
    const wait = failed ? this.#attempts.backoffMs() : this.#startedAt + MIN_REOPEN_MS - this.clock.now();
    this.#pausing = true;
    this.#attempts.wait(Math.max(0, wait), () => this.#connect(), true);
    this.owner.ended(details, failed);
  }
}
