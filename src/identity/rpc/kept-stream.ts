import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import type { RpcError } from './connection.js';

/** 1 s at first, doubled up to 30 s, ± 20 %: go-spiffe's bounds. */
export const STREAM_BACKOFF: Backoff = { baseMs: 1_000, maxMs: 30_000 };

export interface KeptStreamOptions {
  /** Opens the stream; the result cancels it. `ended` is called at most once, and not before this returns. */
  readonly open: (ended: (error: RpcError | undefined) => void) => () => void;
  /** It ended; false: it will not be opened again. */
  readonly lost: (error: RpcError | undefined) => boolean;
  readonly clock: Pick<Clock, 'after'>;
  readonly random: Random;
  readonly backoff?: Backoff;
}

/** Keeps one stream open: whenever it ends it is opened again after a backoff, which begins anew with each message. Never at once: a server that ends each stream would be asked without end. */
export class KeptStream {
  #cancel: (() => void) | undefined;
  #stopTimer: (() => void) | undefined;
  /** Attempts in a row that brought nothing; reset by `alive`. */
  #failures = 0;
  #closed = false;

  constructor(private readonly options: KeptStreamOptions) {
    this.#open();
  }

  /** A message came. */
  alive(): void {
    this.#failures = 0;
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer?.();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #open(): void {
    this.#stopTimer = undefined;
    this.#cancel = this.options.open((error) => this.#ended(error));
  }

  #ended(error: RpcError | undefined): void {
    if (this.#closed) return;
    this.#cancel = undefined;
    if (!this.options.lost(error) || this.#closed) return;
    const { clock, random, backoff = STREAM_BACKOFF } = this.options;
    this.#failures++;
    this.#stopTimer = clock.after(spreadJitter(backoff, this.#failures, random), () => this.#open());
  }
}
