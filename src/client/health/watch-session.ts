import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import type { Transport } from '../../core/transport.js';
import { STATUS } from '../grpc/status.js';
import { servingStatusName, SERVING } from './health-message.js';
import { type HealthRequest, openHealthStream } from './health-stream.js';
import type { Pace } from './pace.js';

/** "exponential backoff between attempts" - A17; 1 s × 1.6 to 120 s, ± 20 % (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

export interface WatchOwner {
  transport(): Transport;
  /** What the endpoint says of itself, or that it cannot be asked. */
  serving(serving: boolean, why: string): void;
  /** It has no such method, and is not asked again over the same connection. */
  unimplemented(): void;
}

export interface WatchEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly pace: Pace;
}

/** One endpoint's `Watch` stream, opened again when it breaks. */
export class WatchSession {
  /** Attempts without a message; the next wait grows with it. Reset by a message. */
  #attempts = 0;
  /** What there is to cancel: a wait, a place in the line, or a stream. */
  #cancel: (() => void) | undefined;
  #closed = false;
  /** It had no such method when it was asked last: its health is not what is unknown of it while it cannot be reached. */
  #unimplemented = false;

  constructor(
    private readonly request: HealthRequest,
    private readonly owner: WatchOwner,
    private readonly env: WatchEnv,
  ) {}

  start(): void {
    this.#cancel = undefined;
    const leave = this.env.pace.run(() => this.#open());
    // It may have begun at once.
    this.#cancel ??= leave;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #open(): void {
    const startedAt = this.env.clock.now();
    let answered = false;
    this.#cancel = openHealthStream(this.owner.transport(), this.request, {
      message: (status) => {
        answered = true;
        this.#attempts = 0;
        this.#unimplemented = false;
        this.owner.serving(status === SERVING, servingStatusName(status));
      },
      // "when the backend sends a GOAWAY, the client will cancel the Watch() call" - A17; what was heard last stands until the next one is open.
      draining: () => {
        this.#cancel?.();
        this.#again(startedAt, true);
      },
      ended: (code, detail, network, onDisconnect) => {
        this.#cancel = undefined;
        if (code === STATUS.UNIMPLEMENTED) {
          // Not again over this connection; the next one begins with a watch like any other, as its server may have the method.
          this.#cancel = onDisconnect?.(() => this.#again(startedAt, false));
          if (!this.#unimplemented) this.owner.unimplemented();
          this.#unimplemented = true;
          return;
        }
        if (!network || !this.#unimplemented) {
          this.#unimplemented = false;
          this.owner.serving(false, `the watch ended with gRPC status ${code}: ${detail}`);
        }
        this.#again(startedAt, answered);
      },
    });
  }

  /**
   * "the backoff state is reset, so the next attempt will occur immediately" - A17, after a message. Not sooner, though, than the first back-off after
   * the last attempt: a server that answers and hangs up would be asked without end.
   */
  #again(startedAt: number, answered: boolean): void {
    if (this.#closed) return;
    const { clock, random } = this.env;
    const backOffMs = answered ? BACKOFF.baseMs : spreadJitter(BACKOFF, ++this.#attempts, random);
    const delayMs = Math.max(0, startedAt + backOffMs - clock.now());
    this.#cancel = clock.after(delayMs, () => this.start(), { background: true });
  }
}
