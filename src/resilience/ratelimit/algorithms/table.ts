import type { Clock } from '../../../core/clock.js';
import type { Limit } from '../../../core/model/limit.js';
import type { Algorithm } from './algorithm.js';
import { algorithms } from './create.js';

/** An algorithm under the number by which slots name it. */
interface Row {
  readonly algorithm: Algorithm;
  readonly id: number;
  /** Slots that name it. */
  slots: number;
}

/** Beyond so many, those that no slot names are let go. */
const MIN_SWEEP = 256;

/** The algorithms of the limits in use: one for all limits that read the same. */
export class AlgorithmTable {
  readonly #make: (limit: Limit) => Algorithm;
  readonly #byLimit = new WeakMap<Limit, Row>();
  readonly #byText = new Map<string, Row>();
  readonly #byAlgorithm = new WeakMap<Algorithm, Row>();
  readonly #rows: (Row | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #sweepAt = MIN_SWEEP;
  /** Rows that slots name. */
  #inUse = 0;
  #lastLimit: Limit | undefined;
  #last: Row | undefined;

  constructor(clock: Pick<Clock, 'now' | 'wallTime'>) {
    this.#make = algorithms(clock);
  }

  of(limit: Limit): Algorithm {
    if (limit === this.#lastLimit) return (this.#last as Row).algorithm;
    let row = this.#byLimit.get(limit);
    if (row === undefined || this.#rows[row.id] !== row) {
      row = this.#known(JSON.stringify(limit), limit);
      this.#byLimit.set(limit, row);
    }
    this.#lastLimit = limit;
    this.#last = row;
    return row.algorithm;
  }

  /** That of a slot. */
  at(id: number): Algorithm {
    return (this.#rows[id] as Row).algorithm;
  }

  /** A slot names it from now on. */
  hold(algorithm: Algorithm): number {
    const row = this.#byAlgorithm.get(algorithm) as Row;
    if (row.slots++ === 0) this.#inUse++;
    return row.id;
  }

  /** A slot names it no more. */
  release(id: number): void {
    if (--(this.#rows[id] as Row).slots === 0) this.#inUse--;
  }

  /** Whether so many of all `slots` name it that others have less than they would if all limits in use had as many. */
  crowded(id: number, slots: number): boolean {
    return (this.#rows[id] as Row).slots * this.#inUse >= slots;
  }

  #known(text: string, limit: Limit): Row {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    if (this.#byText.size >= this.#sweepAt) this.#sweep();
    const id = this.#free.pop() ?? this.#rows.length;
    const row: Row = { algorithm: this.#make(limit), id, slots: 0 };
    this.#rows[id] = row;
    this.#byText.set(text, row);
    this.#byAlgorithm.set(row.algorithm, row);
    return row;
  }

  /** A limit that is used again after it was let go is made anew. */
  #sweep(): void {
    for (const [text, row] of this.#byText) {
      if (row.slots > 0) continue;
      this.#byText.delete(text);
      this.#rows[row.id] = undefined;
      this.#free.push(row.id);
    }
    this.#lastLimit = undefined;
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#byText.size);
  }
}
