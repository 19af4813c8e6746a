import type { Clock } from '../../core/clock.js';
import type { RetryBudgetConfig } from '../../core/model/cluster.js';

/** How many parts the window has: a deposit counts for between 9/10 and 10/10 of `ttlMs`. */
const SLOTS = 10;
/** Whole thousandths of a retry, so that ten deposits at 0.1 buy exactly one. */
const RETRY = 1_000;

/**
 * Caps retries at a share of recent requests, so that callers do not multiply an outage: with a fixed number of retries each, three a call, a service that
 * fails gets four times its load at the moment when it can bear least; with a budget of 20 % it gets 1.2 times, whatever each call asks for.
 *
 * Finagle's RetryBudget: deposits and withdrawals expire after `ttlMs`, in ten slots; a floor of `minRetriesPerSecond` serves quiet and new clients. Not
 * Envoy's `retry_budget`, which counts active requests.
 */
export class RetryBudget {
  /** Deposits less withdrawals by slot, in thousandths; a slot is cleared when the window has gone round. */
  readonly #slots = new Float64Array(SLOTS);
  /** Sum of `#slots`; written with them. */
  #sum = 0;
  /** Number of the slot that `now` was in at the last look. */
  #current: number;
  #slotMs: number;
  #deposit: number;
  #reserve: number;

  constructor(
    config: RetryBudgetConfig,
    private readonly clock: Pick<Clock, 'now'>,
  ) {
    this.#slotMs = config.ttlMs / SLOTS;
    this.#deposit = Math.round(config.retryRatio * RETRY);
    this.#reserve = Math.round((config.minRetriesPerSecond * config.ttlMs) / 1_000) * RETRY;
    this.#current = Math.floor(clock.now() / this.#slotMs);
  }

  /** Once per request, not per attempt. `share`: of a retry, in place of `retryRatio`. */
  deposit(share?: number): void {
    this.#put(share === undefined ? this.#deposit : Math.round(share * RETRY));
  }

  /** Once per retry; false leaves the balance untouched. */
  tryWithdraw(): boolean {
    this.#expire();
    if (this.#reserve + this.#sum < RETRY) return false;
    this.#put(-RETRY);
    return true;
  }

  /** One that was withdrawn was not sent after all. */
  refund(): void {
    this.#put(RETRY);
  }

  /** Whole retries available now. */
  get balance(): number {
    this.#expire();
    return Math.max(0, Math.floor((this.#reserve + this.#sum) / RETRY));
  }

  #put(amount: number): void {
    this.#expire();
    const slot = this.#current % SLOTS;
    this.#slots[slot] = (this.#slots[slot] as number) + amount;
    this.#sum += amount;
  }

  #expire(): void {
    const now = Math.floor(this.clock.now() / this.#slotMs);
    if (now === this.#current) return;
    const passed = Math.min(now - this.#current, SLOTS);
    for (let i = 1; i <= passed; i++) {
      const slot = (this.#current + i) % SLOTS;
      this.#sum -= this.#slots[slot] as number;
      this.#slots[slot] = 0;
    }
    this.#current = now;
  }
}
