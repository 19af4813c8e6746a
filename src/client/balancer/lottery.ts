import type { Random } from '../../core/random.js';
import type { Weights } from './policy.js';

/** Draws positions of a list by weight: in O(log n), or O(1) when all weights are equal. */
export class Lottery {
  /** Sums of weights up to each position; undefined when all are equal. */
  readonly #upTo: Float64Array | undefined;

  constructor(
    readonly count: number,
    weights: Weights,
    private readonly random: Random,
  ) {
    if (areEqual(weights, count)) return;
    const upTo = new Float64Array(count);
    let total = 0;
    for (let i = 0; i < count; i++) {
      total += weights[i] as number;
      upTo[i] = total;
    }
    this.#upTo = upTo;
  }

  /** A position; 0 when there is at most one. */
  draw(): number {
    const upTo = this.#upTo;
    const { count } = this;
    if (upTo === undefined) return count < 2 ? 0 : this.random.int(count);
    const at = this.random.next() * (upTo[count - 1] as number);
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * One to compare `first` with: another when all weights are equal, as two draws of the same are no choice. By weight it may be the same
   * ("with replacement" - gRFC A48): otherwise the lighter of two would be drawn each time, whatever its weight.
   */
  drawSecond(first: number): number {
    if (this.#upTo !== undefined) return this.draw();
    return (first + 1 + this.random.int(this.count - 1)) % this.count;
  }
}

export function areEqual(weights: Weights, count: number): boolean {
  for (let i = 1; i < count; i++) if (weights[i] !== weights[0]) return false;
  return true;
}
