import { type BodyFlow, type BodyProducer, type BodySink, StreamBody } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import { type Reply, ReplyEnding } from '../../core/reply.js';
import { FaultInjectedError } from './errors.js';
import type { BodyFault } from './injector.js';

/** "splits 1 second into 16 segments (~63ms apart)" - gRFC A33, of Envoy's rate limit of replies. */
const SLICES_PER_SECOND = 16;
const SLICE_MS = 1_000 / SLICES_PER_SECOND;

/** Bytes that may wait here before the service is asked to pause: 64 KiB, as everywhere. */
const HIGH_WATER_BYTES = 65_536;

/** The same reply, whose body comes slowly or breaks off. "Only the body of the HTTP stream is throttled ... Not headers or trailers." - gRFC A33 */
export function faultyReply(reply: Reply, call: Call, fault: BodyFault, clock: Clock): Reply {
  const pump = new Pump(reply, call, fault, clock);
  return {
    status: reply.status,
    headers: reply.headers,
    body: pump.out,
    onEnd: (listener) => pump.ending.onEnd(listener),
    onDisconnect:
      reply.onDisconnect && ((listener) => (reply.onDisconnect as NonNullable<Reply['onDisconnect']>)(listener)),
  };
}

/** How a body came to its end. */
interface Last {
  readonly trailers: HeaderFields | undefined;
  readonly error: MeshError | undefined;
}

/**
 * Hands a body on like a slow wire: as many bytes as the time since has earned, a slice at a time, and of a pause a second's worth at most, as in Envoy. At
 * most 64 KiB wait here: the service feels the speed. It goes on while nobody reads, as a wire does, until the reader's own 64 KiB are full.
 */
class Pump implements BodySink, BodyProducer {
  readonly out: StreamBody;
  readonly ending = new ReplyEnding();
  #flow: BodyFlow | undefined;
  readonly #chunks: Uint8Array[] = [];
  #waiting = 0;
  /** The service was asked to pause. */
  #full = false;
  /** The reader asked for a pause. */
  #paused = false;
  /** The last byte has come in, or what broke it off. */
  #last: Last | undefined;
  #over = false;
  /** Bytes that may be handed on now. */
  #credit: number;
  #earnedAt: number;
  #bytesPerSecond: number;
  /** Bytes until it breaks off. */
  #left: number;
  #stopTimer: (() => void) | undefined;
  readonly #forget: () => void;
  readonly #cancelled = (reason: MeshError): void => this.#breakOff(reason);

  constructor(
    private readonly reply: Reply,
    private readonly call: Call,
    private readonly fault: BodyFault,
    private readonly clock: Clock,
  ) {
    this.out = new StreamBody(this, reply.body.size);
    this.#bytesPerSecond = fault.bytesPerSecond ?? Number.POSITIVE_INFINITY;
    this.#credit = this.#bytesPerSecond / SLICES_PER_SECOND;
    this.#left = fault.afterBytes ?? Number.POSITIVE_INFINITY;
    this.#earnedAt = clock.now();
    this.#forget = fault.onStop(() => this.#lift());
    fault.begun();
    call.cancellation.add(this.#cancelled);
    if (!this.#over) this.#flow = reply.body.pipe(this);
    this.#drained();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    this.#chunks.push(chunk);
    this.#waiting += chunk.byteLength;
    this.#pump();
    this.#full = !this.#over && this.#waiting >= HIGH_WATER_BYTES;
    return !this.#full;
  }

  end(trailers?: HeaderFields): void {
    this.#ended({ trailers, error: undefined });
  }

  fail(error: MeshError): void {
    this.#ended({ trailers: undefined, error });
  }

  /** The reader has room again. */
  resume(): void {
    this.#paused = false;
    this.#pump();
    this.#drained();
  }

  /** The reader is gone. */
  cancel(reason: MeshError | undefined): void {
    if (this.#over) return;
    this.#release();
    this.reply.body.cancel(reason);
    this.#settle(undefined);
  }

  #ended(last: Last): void {
    if (this.#over || this.#last !== undefined) return;
    this.#last = last;
    this.#pump();
  }

  /** Hands on what may be handed on now, and comes back for the rest. */
  #pump(): void {
    if (this.#stopTimer !== undefined) return;
    if (this.clock.now() >= this.fault.endsAt) this.#free();
    this.#earn();
    while (!this.#over && !this.#paused && this.#waiting > 0) {
      const chunk = this.#chunks[0] as Uint8Array;
      const some = Math.min(chunk.byteLength, Math.floor(this.#credit));
      if (some === 0 && chunk.byteLength > 0) return this.#wait();
      this.#take(chunk, some);
    }
    if (!this.#over && this.#waiting === 0 && this.#last !== undefined) this.#finish(this.#last);
  }

  #earn(): void {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const now = this.clock.now();
    const earned = this.#credit + ((now - this.#earnedAt) * this.#bytesPerSecond) / 1_000;
    this.#credit = Math.min(this.#bytesPerSecond, earned);
    this.#earnedAt = now;
  }

  #take(chunk: Uint8Array, some: number): void {
    if (some === chunk.byteLength) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(some);
    this.#waiting -= some;
    this.#credit -= some;
    const allowed = Math.min(some, this.#left);
    this.#left -= allowed;
    if (allowed > 0 && !this.out.write(allowed === chunk.byteLength ? chunk : chunk.subarray(0, allowed))) {
      this.#paused = true;
    }
    if (allowed < some) this.#truncate();
  }

  /** Until another slice is earned; of a speed below 16 bytes a second, a byte. */
  #wait(): void {
    const ms = Math.max(SLICE_MS, ((1 - this.#credit) * 1_000) / this.#bytesPerSecond);
    this.#stopTimer = this.clock.after(Math.min(ms, this.fault.endsAt - this.clock.now()), () => {
      this.#stopTimer = undefined;
      this.#pump();
      this.#drained();
    });
  }

  /** Asks the service for more, if it waits. */
  #drained(): void {
    if (!this.#full || this.#over || this.#waiting >= HIGH_WATER_BYTES) return;
    this.#full = false;
    this.#flow?.resume();
  }

  /** The fault is no more: what is left comes at its own speed, to its end. */
  #lift(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#free();
    this.#pump();
    this.#drained();
  }

  #free(): void {
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
    this.#credit = Number.POSITIVE_INFINITY;
    this.#left = Number.POSITIVE_INFINITY;
  }

  #truncate(): void {
    this.fault.truncated();
    this.call.record.raise('FI');
    this.#breakOff(new FaultInjectedError(this.fault.policy, 'truncate'));
  }

  #breakOff(error: MeshError): void {
    if (this.#over) return;
    this.#release();
    this.out.fail(error);
    this.reply.body.cancel(error);
    this.#settle(error);
  }

  #finish({ trailers, error }: Last): void {
    this.#release();
    if (error === undefined) this.out.end(trailers);
    else this.out.fail(error);
    this.#settle(error);
  }

  /** What was read is accounted as the reply's own end says it. */
  #settle(error: MeshError | undefined): void {
    this.reply.onEnd((end) => this.ending.settle(error === undefined ? end : { ...end, error }));
  }

  #release(): void {
    this.#over = true;
    this.#chunks.length = 0;
    this.#waiting = 0;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#forget();
    this.call.cancellation.remove(this.#cancelled);
    this.fault.end();
  }
}
