/** The times of requests and what each counts, oldest first: a ring of pairs that grows as it must. */
export class RequestLog {
  #pairs = new Float64Array(8);
  #first = 0;
  #length = 0;
  /** Sum of all costs. */
  total = 0;

  get length(): number {
    return this.#length;
  }

  /** Of its numbers. */
  get bytes(): number {
    return this.#pairs.byteLength;
  }

  /** `at` is no earlier than the last. */
  add(at: number, cost: number): void {
    this.total += cost;
    const last = this.#at(this.#length - 1);
    if (this.#length > 0 && this.#pairs[last] === at) {
      this.#pairs[last + 1] = (this.#pairs[last + 1] as number) + cost;
      return;
    }
    if (this.#length * 2 === this.#pairs.length) this.#resize(this.#length * 4);
    const next = this.#at(this.#length++);
    this.#pairs[next] = at;
    this.#pairs[next + 1] = cost;
  }

  /** Forgets those up to and including `until`. */
  forget(until: number): void {
    while (this.#length > 0 && (this.#pairs[this.#first] as number) <= until) {
      this.total -= this.#pairs[this.#first + 1] as number;
      this.#first = this.#at(1);
      this.#length--;
    }
    if (this.#pairs.length > 64 && this.#length * 8 < this.#pairs.length) this.#resize(this.#pairs.length / 2);
  }

  /** The time of the request with which, from the oldest on, at least `cost` (from 1 to `total`) is reached. */
  reaches(cost: number): number {
    let sum = 0;
    for (let i = 0; i < this.#length; i++) {
      const pair = this.#at(i);
      sum += this.#pairs[pair + 1] as number;
      if (sum >= cost) return this.#pairs[pair] as number;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Takes `cost` off what is written down of `at`. */
  takeBack(at: number, cost: number): void {
    for (let i = this.#length - 1; i >= 0; i--) {
      const pair = this.#at(i);
      const time = this.#pairs[pair] as number;
      if (time < at) return;
      if (time > at) continue;
      const taken = Math.min(cost, this.#pairs[pair + 1] as number);
      this.#pairs[pair + 1] = (this.#pairs[pair + 1] as number) - taken;
      this.total -= taken;
      return;
    }
  }

  #at(index: number): number {
    return (this.#first + 2 * index) % this.#pairs.length;
  }

  #resize(numbers: number): void {
    const pairs = new Float64Array(numbers);
    for (let i = 0; i < this.#length; i++) {
      const from = this.#at(i);
      pairs[2 * i] = this.#pairs[from] as number;
      pairs[2 * i + 1] = this.#pairs[from + 1] as number;
    }
    this.#pairs = pairs;
    this.#first = 0;
  }
}
