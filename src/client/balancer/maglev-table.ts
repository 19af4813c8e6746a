import type { Steps } from '../../core/steps.js';
import { type Hash64, highWord, lowWord } from './hash.js';
import { areEqual } from './lottery.js';
import type { Weights } from './policy.js';
import { TurnHeap } from './turn-heap.js';

/** Slots looked at in one step: less than a millisecond's work. */
const LOOKS = 4_096;

export type MaglevTable = Uint16Array | Uint32Array;

/**
 * Fills a Maglev lookup table (Eisenbud et al., NSDI 2016) as Envoy does: each endpoint has a permutation of the slots, from two hashes of its
 * key, and in turn, by weight, takes the next of it that is free. `size` must be prime. Gives for each slot a position in `keys`. In steps, as the last
 * free slots are looked for long, and large tables have millions.
 */
export function* maglevSteps(
  keys: readonly string[],
  weights: Weights,
  size: number,
  hash64: Hash64,
): Steps<MaglevTable> {
  const table = keys.length < 0xffff ? new Uint16Array(size) : new Uint32Array(size);
  if (keys.length === 0) return table;
  const free = keys.length < 0xffff ? 0xffff : 0xffffffff;
  table.fill(free);
  // In the order of keys, so that the order of the list does not matter.
  const order = keys.map((_, i) => i).sort((a, b) => compare(keys[a] as string, keys[b] as string) || a - b);
  yield;
  const slots = Float64Array.from(order, (i) => remainder(hash64(keys[i] as string), size));
  yield;
  const skips = Float64Array.from(order, (i) => remainder(hash64(keys[i] as string, 1n), size - 1) + 1);
  yield;
  let total = 0;
  for (let i = 0; i < keys.length; i++) total += weights[i] as number;
  const turns = new Turns(Float64Array.from(order, (i) => (weights[i] as number) / total));
  let looks = 0;
  for (let taken = 0; taken < size; taken++) {
    const turn = turns.next();
    const skip = skips[turn] as number;
    let slot = slots[turn] as number;
    while (table[slot] !== free) {
      slot += skip;
      if (slot >= size) slot -= size;
      if (++looks % LOOKS === 0) yield;
    }
    if (++looks % LOOKS === 0) yield;
    table[slot] = order[turn] as number;
    slot += skip;
    slots[turn] = slot >= size ? slot - size : slot;
  }
  return table;
}

/** Remainder of 64 bits, as numbers: the products stay below 2^53 as long as `size` is below 2^26. */
export function slotOf(high: number, low: number, size: number): number {
  return ((high % size) * (2 ** 32 % size) + low) % size;
}

const remainder = (hash: bigint, size: number): number => slotOf(highWord(hash), lowWord(hash), size);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Whose turn it is to take a slot. In each round one with the greatest weight has a turn, one with a third of it in every third. Envoy walks over
 * all in every round; with weights far apart that is many rounds of nothing, so here a heap knows who is due next: the cost is bounded by
 * size × log of the endpoints.
 */
class Turns {
  readonly #targets: Float64Array;
  /** By round × count + position of the next turn, so that they sort as Envoy's loops go. Undefined when all weights are equal. */
  readonly #heap: TurnHeap | undefined;
  readonly #max: number;
  #next = 0;

  /** `weights`: normalised. */
  constructor(private readonly weights: Float64Array) {
    const count = weights.length;
    this.#max = weights.reduce((max, weight) => Math.max(max, weight), 0);
    this.#targets = new Float64Array(count);
    this.#heap = areEqual(weights, count) ? undefined : new TurnHeap(weights.map((_, i) => count + i));
  }

  next(): number {
    const count = this.weights.length;
    const heap = this.#heap;
    if (heap === undefined) {
      const turn = this.#next;
      this.#next = turn + 1 < count ? turn + 1 : 0;
      return turn;
    }
    const turn = heap.first as number;
    const round = Math.floor((heap.keys[turn] as number) / count);
    this.#targets[turn] = (this.#targets[turn] as number) + this.#max;
    heap.postpone(this.#roundOf(turn, round) * count + turn);
    return turn;
  }

  /** The first round after `last` for which round × weight reaches the target: earlier ones pass it over (Envoy), to the last bit. */
  #roundOf(turn: number, last: number): number {
    const weight = this.weights[turn] as number;
    const target = this.#targets[turn] as number;
    let round = Math.max(last + 1, Math.ceil(target / weight));
    while (round * weight < target) round++;
    while (round - 1 > last && (round - 1) * weight >= target) round--;
    return round;
  }
}
