/** Positions by key, the least first: a binary heap in two flat arrays, for schedules whose first comes again later. */
export class TurnHeap {
  readonly #heap: Uint32Array;

  /** `keys`: one for each position; kept and written by the heap. */
  constructor(readonly keys: Float64Array) {
    this.#heap = Uint32Array.from(keys, (_, i) => i);
    for (let at = (keys.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The position with the least key; undefined when there is none. */
  get first(): number | undefined {
    return this.#heap[0];
  }

  /** Gives the first a greater key. */
  postpone(key: number): void {
    const first = this.#heap[0];
    if (first === undefined) return;
    this.keys[first] = key;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const moving = heap[from] as number;
    const key = this.keys[moving] as number;
    let at = from;
    for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && this.#keyAt(child + 1) < this.#keyAt(child)) child++;
      if (this.#keyAt(child) >= key) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = moving;
  }

  #keyAt(at: number): number {
    return this.keys[this.#heap[at] as number] as number;
  }
}
