import type { Random } from '../../core/random.js';
import type { Weights } from './policy.js';

const MAX_WEIGHT = 0xffff;
/** The offset by position keeps neighbours of equal weight from being passed over in the same round. */
const OFFSET = MAX_WEIGHT >> 1;
/** "caps from above" at this many times the mean, which bounds the rounds that a pick may take. */
const MAX_RATIO = 10;
/** And from below at this share of it: an endpoint is never quite forgotten. */
const MIN_RATIO = 0.01;

const isKnown = (weight: number): boolean => weight > 0 && weight < Number.POSITIVE_INFINITY;

/** Where in the sequence of turns the schedule is; goes on when weights change. */
export interface StridePosition {
  /** Rounds made over all positions. */
  round: number;
  /** The position looked at last. */
  index: number;
}

/** Somewhere in the first round: clients that start together do not march in step. */
export const randomStride = (random: Random, count: number): StridePosition => ({
  round: random.int(MAX_WEIGHT),
  index: random.int(Math.max(1, count)),
});

/**
 * gRPC's static stride scheduler (C-core, Go): rounds over all positions, in each of which a position is taken or passed over so that the heaviest
 * is always taken and the others in proportion. No heap, cheap to make anew each second, constant on the average: a pick looks at max ÷ mean
 * positions, at most MAX_RATIO.
 */
export class StaticStride {
  readonly #weights: Uint16Array;

  /** `weights`: at least one; those that are above 0 and finite are known, any other counts as the mean of those. */
  constructor(
    weights: Weights,
    readonly position: StridePosition,
  ) {
    let max = 0;
    for (let i = 0; i < weights.length; i++)
      if (isKnown(weights[i] as number)) max = Math.max(max, weights[i] as number);
    // As shares of the greatest: no sum of them overflows, and none is too small to be counted with.
    let sum = 0;
    let known = 0;
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] as number;
      if (!isKnown(weight)) continue;
      sum += weight / max;
      known++;
    }
    if (known === 0) {
      this.#weights = new Uint16Array(weights.length).fill(MAX_WEIGHT);
      return;
    }
    const mean = sum / known;
    const cap = Math.min(1, MAX_RATIO * mean);
    const scale = MAX_WEIGHT / cap;
    const floor = Math.max(1, Math.round(mean * scale * MIN_RATIO));
    this.#weights = Uint16Array.from(weights, (weight) =>
      Math.max(floor, Math.round(Math.min(isKnown(weight) ? weight / max : mean, cap) * scale)),
    );
  }

  next(): number {
    const { position } = this;
    for (;;) {
      position.index++;
      if (position.index >= this.#weights.length) {
        position.index = 0;
        // The pattern repeats itself after MAX_WEIGHT rounds.
        position.round = (position.round + 1) % MAX_WEIGHT;
      }
      const weight = this.#weights[position.index] as number;
      if ((weight * position.round + position.index * OFFSET) % MAX_WEIGHT >= MAX_WEIGHT - weight) {
        return position.index;
      }
    }
  }
}
