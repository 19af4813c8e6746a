/** The window goes on in tenths: what is counted is never older than it, and goes back nine tenths of it at least. */
const SLOTS = 10;

/** How many requests there were lately, and how many of them were good. Twenty numbers, however many requests there are. */
export class RollingCounts {
  readonly #good = new Float64Array(SLOTS);
  readonly #total = new Float64Array(SLOTS);
  readonly #slotMs: number;
  /** Number of the newest slot, since time began; what is older than the window is cleared when time goes on. */
  #newest = Number.NEGATIVE_INFINITY;

  constructor(windowMs: number) {
    this.#slotMs = windowMs / SLOTS;
  }

  add(good: boolean, now: number): void {
    const slot = this.#turnTo(now);
    this.#total[slot] = (this.#total[slot] as number) + 1;
    if (good) this.#good[slot] = (this.#good[slot] as number) + 1;
  }

  totals(now: number): { readonly good: number; readonly total: number } {
    this.#turnTo(now);
    let good = 0;
    let total = 0;
    for (let i = 0; i < SLOTS; i++) {
      good += this.#good[i] as number;
      total += this.#total[i] as number;
    }
    return { good, total };
  }

  /** The slot of `now`, those of times long gone cleared. */
  #turnTo(now: number): number {
    const number = Math.floor(now / this.#slotMs);
    const passed = Math.min(number - this.#newest, SLOTS);
    for (let i = 0; i < passed; i++) {
      this.#good[(number - i) % SLOTS] = 0;
      this.#total[(number - i) % SLOTS] = 0;
    }
    if (passed > 0) this.#newest = number;
    return number % SLOTS;
  }
}
