/** Columns of a row. Those that a pick reads come first: an array's first number seldom begins a cache line. */
/** Expected latency in milliseconds, as of `AT`. */
export const LATENCY = 0;
/** Monotonic milliseconds of the last observation. */
export const AT = 1;
/** Attempts under way. */
export const INFLIGHT = 2;
/** Monotonic milliseconds until which the endpoint asked to be left alone; -Infinity when it did not. */
export const HELD_UNTIL = 3;
/** The time in which latency fades to 1 / e of itself, in milliseconds. */
export const DECAY = 4;
/** Monotonic milliseconds of the last pick. */
export const LAST_PICKED = 5;
/** What the endpoint asked to be left alone for, in milliseconds. */
export const HELD_FOR = 6;
/** 64 bytes: a cache line. */
const WIDTH = 8;

/**
 * What balancers read of endpoints at every pick and accounting writes after every call: one row of numbers for each endpoint, side by side in one
 * array. A choice of two looks at two rows, wherever they are. As properties of objects the same numbers are boxes strewn over the heap, and a
 * pick among 10,000 endpoints costs seven times as much, all of it waiting for memory.
 *
 * One slab for the process: an endpoint may be with several balancers at once, and stays itself when those change.
 */
class LoadSlab {
  /** Another array when it has grown: not to be kept. */
  values = new Float64Array(64 * WIDTH);
  #end = 0;
  readonly #free: number[] = [];
  /** A row is given back when its owner is garbage: whoever could still write to it would keep the owner. */
  readonly #abandoned = new FinalizationRegistry<number>((row) => this.#free.push(row));

  /** The offset of a row that is the owner's for its life; all its columns are to be written. */
  take(owner: object): number {
    let row = this.#free.pop();
    if (row === undefined) {
      row = this.#end;
      this.#end += WIDTH;
      if (this.#end > this.values.length) this.#grow();
    }
    this.#abandoned.register(owner, row);
    return row;
  }

  #grow(): void {
    const larger = new Float64Array(2 * this.values.length);
    larger.set(this.values);
    this.values = larger;
  }
}

export const slab = new LoadSlab();

/** Rows of a list, position by position. */
export const rowsOf = (endpoints: readonly { readonly row: number }[]): Uint32Array => {
  const rows = new Uint32Array(endpoints.length);
  for (let i = 0; i < rows.length; i++) rows[i] = (endpoints[i] as { readonly row: number }).row;
  return rows;
};

/** Attempts under way at the endpoint of that row. */
export const inflightOf = (row: number): number => slab.values[row + INFLIGHT] as number;
