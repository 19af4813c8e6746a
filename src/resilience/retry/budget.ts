import type { Clock } from '../../core/clock.js';
import type { RetryBudgetConfig } from '../../core/model/retry-budget.js';

/** How many parts the window has: a deposit counts for between 9/10 and 10/10 of `ttlMs`. */
const SLOTS = 10;
/**
 * A withdrawal counts for a tenth longer, 10/10 to 11/10. With the same time for both, a steady load could withdraw all of its budget twice within `ttlMs`:
 * when it begins to fail, and in the last tenth, as what was withdrawn first counts no more.
 */
const WITHDRAWN_SLOTS = SLOTS + 1;
/** Whole thousandths of a retry, so that ten deposits at 0.1 buy exactly one. */
const RETRY = 1_000;

/**
 * Caps retries at a share of recent requests, so that callers do not multiply an outage: with a fixed number of retries each, three a call, a service that
 * fails gets four times its load at the moment when it can bear least; with a budget of 20 % it gets 1.2 times, whatever each call asks for.
 *
 * Finagle's RetryBudget: deposits and withdrawals expire after `ttlMs`, in tenths; a floor of `minRetriesPerSecond` serves quiet and new clients. Not
 * Envoy's `retry_budget`, which counts active requests.
 */
export class RetryBudget {
  readonly #deposits = new Recent(SLOTS);
  readonly #withdrawals = new Recent(WITHDRAWN_SLOTS);
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
    this.#expire();
    this.#deposits.add(this.#current, share === undefined ? this.#deposit : Math.round(share * RETRY));
  }

  /** Once per retry; false leaves the balance untouched. */
  tryWithdraw(): boolean {
    this.#expire();
    if (this.#left() < RETRY) return false;
    this.#withdrawals.add(this.#current, RETRY);
    return true;
  }

  /** One that was withdrawn was not sent after all. `withdrawnAt`: when, in monotonic milliseconds; what counts no more is not given back. */
  refund(withdrawnAt: number): void {
    this.#expire();
    const slot = Math.floor(withdrawnAt / this.#slotMs);
    if (slot > this.#current - WITHDRAWN_SLOTS) this.#withdrawals.add(slot, -RETRY);
  }

  /** Whole retries available now. */
  get balance(): number {
    this.#expire();
    return Math.max(0, Math.floor(this.#left() / RETRY));
  }

  #left(): number {
    return this.#reserve + this.#deposits.sum - this.#withdrawals.sum;
  }

  #expire(): void {
    const now = Math.floor(this.clock.now() / this.#slotMs);
    if (now === this.#current) return;
    this.#deposits.advance(this.#current, now);
    this.#withdrawals.advance(this.#current, now);
    this.#current = now;
  }
}

/** A sum over the latest slots, in thousandths; a slot is cleared when the window has gone round. */
class Recent {
  readonly #slots: Float64Array;
  /** Of `#slots`; written with them. */
  sum = 0;

  constructor(slots: number) {
    this.#slots = new Float64Array(slots);
  }

  add(slot: number, amount: number): void {
    const at = slot % this.#slots.length;
    this.#slots[at] = (this.#slots[at] as number) + amount;
    this.sum += amount;
  }

  advance(from: number, to: number): void {
    const slots = this.#slots;
    const passed = Math.min(to - from, slots.length);
    for (let i = 1; i <= passed; i++) {
      const at = (from + i) % slots.length;
      this.sum -= slots[at] as number;
      slots[at] = 0;
    }
  }
}
