import { TurnHeap } from './turn-heap.js';

/**
 * Earliest deadline first: each position is served once per 1 / weight of virtual time, the one whose turn comes first first. Exact, smooth,
 * O(log n) a turn (gRFC A58, Envoy's EdfScheduler).
 */
export class EdfSchedule {
  readonly #heap: TurnHeap;
  #now = 0;

  /** `deadlines`: virtual time of each position's next turn, at least 0; kept and written by the schedule. */
  constructor(readonly deadlines: Float64Array) {
    this.#heap = new TurnHeap(deadlines);
  }

  /** Virtual time: of the last turn. */
  get now(): number {
    return this.#now;
  }

  /** Whose turn it is; undefined when there is nobody. `reschedule` it before the next. */
  next(): number | undefined {
    return this.#heap.first;
  }

  /** The one whose turn it was has its next one in 1 / weight. */
  reschedule(weight: number): void {
    const turn = this.#heap.first;
    if (turn === undefined) return;
    this.#now = this.deadlines[turn] as number;
    this.#heap.postpone(this.#now + 1 / weight);
  }
}
