import { spreadJitter } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { Random } from '../../core/random.js';

export interface CircuitEnv {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly meter: Pick<Meter, 'event'>;
  readonly logger: Logger;
}

/** Failures in a row after which a store is not asked any more: one lost answer is no outage. */
export const FAILURES_TO_OPEN = 3;
/** Between the probes of a store that is lost: 100 ms, doubling to 2 s, each ± 20 %. */
export const PROBE_BACKOFF = { baseMs: 100, maxMs: 2_000 } as const;

/**
 * Keeps calls from waiting for a store that does not answer: after three failures in a row nobody asks, but for one call now and then, which finds out. Its
 * loss and its return are told once each.
 */
export class StoreCircuit {
  #failures = 0;
  #probes = 0;
  /** When the next call may ask; undefined: all may. */
  #probeAt: number | undefined;
  #probing = false;

  constructor(
    private readonly store: string,
    private readonly env: CircuitEnv,
  ) {}

  get lost(): boolean {
    return this.#probeAt !== undefined;
  }

  /** Whether a call may ask. Who may tells how it went, once, or at once that it did not ask. */
  admit(): boolean {
    if (this.#probeAt === undefined) return true;
    if (this.#probing || this.env.clock.now() < this.#probeAt) return false;
    this.#probing = true;
    return true;
  }

  /** Of a call that was let ask and had no need to: it has found out nothing, and the next may. */
  notAsked(): void {
    this.#probing = false;
  }

  succeeded(): void {
    this.#failures = 0;
    if (this.#probeAt === undefined) return;
    this.#probeAt = undefined;
    this.#probing = false;
    this.#probes = 0;
    this.env.logger.info('the store of limits answers again', { store: this.store });
    this.env.meter.event({ kind: 'limit:store-back', store: this.store });
  }

  failed(error: unknown): void {
    this.#failures++;
    if (this.#probeAt === undefined) {
      if (this.#failures < FAILURES_TO_OPEN) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.env.logger.warn('the store of limits does not answer', { store: this.store, reason });
      this.env.meter.event({ kind: 'limit:store-lost', store: this.store });
    } else if (!this.#probing) return; // of a call that asked before it was lost
    this.#probing = false;
    this.#probeAt = this.env.clock.now() + spreadJitter(PROBE_BACKOFF, ++this.#probes, this.env.random);
  }
}
