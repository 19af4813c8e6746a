import { spreadJitter } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import type { DiscoveryRequest } from '../wire/messages.js';
import type { XdsStream, ServerTransport } from './transport.js';

/** grpc/doc/connection-backoff.md, which gRFC A57 points to; ± 20 %. */
const BACKOFF = { baseMs: 1_000, multiplier: 1.6, maxMs: 120_000 };
/** connection-backoff.md, MIN_CONNECT_TIMEOUT: one attempt may take so long, be it a peer that accepts and says nothing. */
export const CONNECT_TIMEOUT_MS = 20_000;
/** A stream that answered and ended is opened again at once, but a server that does only that is not asked more often than this. */
const MIN_REOPEN_MS = 1_000;
const ADS_PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';

/** What the owner of a connection is told and asked. */
export interface ConnectionOwner {
  /** A new stream: the server knows nothing. */
  opened(): void;
  connected(): void;
  /** The next request to send, or undefined. Asked whenever one can leave, so what is told is never old. */
  nextRequest(): DiscoveryRequest | undefined;
  encode(request: DiscoveryRequest, first: boolean): Uint8Array;
  /** The request left on a connection that stands. */
  written(request: DiscoveryRequest): void;
  /**
   * A message. Throws at once when it is no response; resolves when it is dealt with, and only then is the next one read. `live` tells
   * whether the stream it came on still stands.
   */
  received(bytes: Uint8Array, live: () => boolean): Promise<void>;
  /** The stream ended. `failed`: before any response, which is a connectivity error (gRFC A57). */
  ended(details: string, failed: boolean): void;
}

/** Keeps one stream open to one server: connects, waits, tries again, and lets one message in and one out at a time. */
export class Connection {
  #stream: XdsStream | undefined;
  #started = false;
  #closed = false;
  #cancelTimer: (() => void) | undefined;
  /** Attempts in a row that brought no response. Reset by the first response of a stream. */
  #failures = 0;
  #startedAt = 0;
  #answered = false;
  #sentFirst = false;
  #writing = false;
  #reading = false;
  /** A message is being dealt with, perhaps one of the stream before. */
  #busy = false;

  constructor(
    private readonly transport: () => Promise<ServerTransport>,
    private readonly owner: ConnectionOwner,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    this.#connect();
  }

  /** There may be something to send. */
  pump(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#writing) return;
    const request = this.owner.nextRequest();
    if (request === undefined) return;
    let bytes: Uint8Array;
    try {
      bytes = this.owner.encode(request, !this.#sentFirst);
    } catch (error) {
      this.#giveUp(stream, `a request cannot be written: ${(error as Error).message}`);
      return;
    }
    this.#sentFirst = true;
    this.#writing = true;
    stream.send(bytes, () => {
      if (stream !== this.#stream) return;
      this.#writing = false;
      this.owner.written(request);
      this.pump();
    });
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
    this.#stream?.close();
    this.#stream = undefined;
  }

  #connect(): void {
    this.transport().then(
      (transport) => {
        if (!this.#closed) this.#open(transport);
      },
      (error: unknown) => {
        if (!this.#closed) this.#over(`the gRPC client cannot be loaded: ${String(error)}`, true);
      },
    );
  }

  #open(transport: ServerTransport): void {
    this.#startedAt = this.clock.now();
    this.#answered = false;
    this.#sentFirst = false;
    this.#writing = false;
    this.#reading = false;
    const stream: XdsStream = transport(ADS_PATH, {
      connected: () => {
        if (stream !== this.#stream) return;
        this.#stopTimer();
        this.owner.connected();
      },
      message: (bytes) => {
        if (stream === this.#stream) this.#message(stream, bytes);
      },
      ended: ({ code, details }) => {
        if (stream !== this.#stream) return;
        this.#over(`stream ended with gRPC status ${code}: ${details || 'no details'}`, !this.#answered);
      },
    });
    this.#stream = stream;
    this.#timer(CONNECT_TIMEOUT_MS, () => this.#giveUp(stream, `not connected after ${CONNECT_TIMEOUT_MS} ms`));
    this.owner.opened();
    this.pump();
    this.#read();
  }

  #read(): void {
    if (this.#stream === undefined || this.#reading || this.#busy) return;
    this.#reading = true;
    this.#stream.read();
  }

  #message(stream: XdsStream, bytes: Uint8Array): void {
    this.#reading = false;
    let dealtWith: Promise<void>;
    try {
      dealtWith = this.owner.received(bytes, () => stream === this.#stream);
    } catch (error) {
      // Without type and nonce it cannot even be refused.
      this.#giveUp(stream, `the server sent what is no DiscoveryResponse: ${(error as Error).message}`);
      return;
    }
    this.#answered = true;
    this.#failures = 0;
    this.#busy = true;
    dealtWith.then(
      () => this.#dealtWith(),
      (error: unknown) => {
        this.#busy = false;
        if (stream === this.#stream) this.#giveUp(stream, `a response cannot be dealt with: ${String(error)}`);
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

  /** Ends a stream that cannot go on, as if the server could not be reached. */
  #giveUp(stream: XdsStream, details: string): void {
    stream.close();
    this.#over(details, true);
  }

  #over(details: string, failed: boolean): void {
    this.#stream = undefined;
    if (failed) this.#failures++;
    const wait = failed
      ? spreadJitter(BACKOFF, this.#failures, this.random)
      : this.#startedAt + MIN_REOPEN_MS - this.clock.now();
    this.#timer(Math.max(0, wait), () => this.#connect());
    this.owner.ended(details, failed);
  }

  /** One timer: either an attempt is under way or the next is waited for. It keeps the process alive, as the connection does. */
  #timer(delayMs: number, task: () => void): void {
    this.#stopTimer();
    this.#cancelTimer = this.clock.after(delayMs, task);
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
