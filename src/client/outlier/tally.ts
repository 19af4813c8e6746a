/**
 * Successes and failures since the last interval, and of the interval before: "two buckets" that swap (gRFC A50, Call Counter). Counting allocates
 * nothing.
 */
export class Tally {
  #successes = 0;
  #failures = 0;
  /** Of the last interval that is over. Written by `swap`. */
  successes = 0;
  failures = 0;

  count(success: boolean): void {
    if (success) this.#successes++;
    else this.#failures++;
  }

  /** The interval is over: what was counted can be read, and counting begins anew. */
  swap(): void {
    this.successes = this.#successes;
    this.failures = this.#failures;
    this.#successes = 0;
    this.#failures = 0;
  }

  reset(): void {
    this.swap();
    this.swap();
  }

  /** Attempts of the last interval. */
  get volume(): number {
    return this.successes + this.failures;
  }

  /** Share of successes in the last interval, in [0, 1]. Ask only where there is a volume. */
  get successRate(): number {
    return this.successes / (this.successes + this.failures);
  }
}
