import type { Steps } from '../../core/steps.js';
import { type Hash64, highWord, lowWord } from './hash.js';

/** An endpoint's permutation of the slots: where it begins, and how far it steps. */
interface Permutation {
  readonly start: number;
  readonly skip: number;
  /** Among the keys of the latest list, in their order. */
  rank: number;
  /** The latest list that has the key, by `#lists`. */
  list: number;
}

/** Positions of a list in the order of their keys, so that the order of the list does not matter, with their permutations. */
export interface Ordered {
  readonly order: Uint32Array;
  readonly starts: Float64Array;
  readonly skips: Float64Array;
}

/** Keys hashed in one step. */
const HASHES = 512;
/** More than a list has endpoints; a rank times this and a position fit into a double. */
const POSITIONS = 2 ** 26;

/** Permutations of one table size by key. Those that remain are kept, and their order: hashing and sorting are most of what a small table costs. */
export class Permutations {
  /** In the order of keys. */
  #known = new Map<string, Permutation>();
  #lists = 0;

  constructor(
    private readonly size: number,
    private readonly hash64: Hash64,
  ) {}

  *inOrder(keys: readonly string[]): Steps<Ordered> {
    const list = ++this.#lists;
    const fresh = new Map<string, Permutation>();
    for (const key of keys) {
      const permutation = this.#known.get(key);
      if (permutation !== undefined) permutation.list = list;
      else if (!fresh.has(key)) {
        fresh.set(key, this.#permutation(key, list));
        if (fresh.size % HASHES === 0) yield;
      }
    }
    this.#merge(fresh, list);
    yield;
    const packed = Float64Array.from(keys, (key, at) => this.#of(key).rank * POSITIONS + at).sort();
    const order = Uint32Array.from(packed, (rankAndPosition) => rankAndPosition % POSITIONS);
    const starts = Float64Array.from(order, (at) => this.#of(keys[at] as string).start);
    const skips = Float64Array.from(order, (at) => this.#of(keys[at] as string).skip);
    return { order, starts, skips };
  }

  #of(key: string): Permutation {
    return this.#known.get(key) as Permutation;
  }

  #permutation(key: string, list: number): Permutation {
    const { size, hash64 } = this;
    return { start: remainder(hash64(key), size), skip: remainder(hash64(key, 1n), size - 1) + 1, rank: 0, list };
  }

  /** Those that are known and still in the list, and new ones, by key. */
  #merge(fresh: ReadonlyMap<string, Permutation>, list: number): void {
    const merged = new Map<string, Permutation>();
    const add = (key: string, permutation: Permutation): void => {
      permutation.rank = merged.size;
      merged.set(key, permutation);
    };
    const news = [...fresh.keys()].sort();
    let next = 0;
    for (const [key, permutation] of this.#known) {
      if (permutation.list !== list) continue;
      for (; next < news.length && (news[next] as string) < key; next++)
        add(news[next] as string, fresh.get(news[next] as string) as Permutation);
      add(key, permutation);
    }
    for (; next < news.length; next++) add(news[next] as string, fresh.get(news[next] as string) as Permutation);
    this.#known = merged;
  }
}

/** Remainder of 64 bits, as numbers: the products stay below 2^53 as long as `size` is below 2^26. */
export function slotOf(high: number, low: number, size: number): number {
  return ((high % size) * (2 ** 32 % size) + low) % size;
}

const remainder = (hash: bigint, size: number): number => slotOf(highWord(hash), lowWord(hash), size);
