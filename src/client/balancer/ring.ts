import { type Hash64, highWord, lowWord } from './hash.js';
import type { Weights } from './policy.js';

/** Bits of a double that hold whole numbers. */
const EXACT_BITS = 53;

/** Hashes of `${key}_${i}`, upper and lower words, for i from 0 on; they are most of what it costs to make a ring. */
interface KeyHashes {
  high: Uint32Array;
  low: Uint32Array;
  count: number;
}

/** Positions of endpoints on a circle of 64 bits, sorted. */
export class Ring {
  /** `owners`: for each entry, the position of its endpoint in the list. */
  constructor(
    private readonly high: Uint32Array,
    private readonly low: Uint32Array,
    readonly owners: Uint32Array,
  ) {}

  get size(): number {
    return this.owners.length;
  }

  /** The first entry at or after a hash, around the end; the ring must not be empty. */
  find(highWord: number, lowWord: number): number {
    const { high, low } = this;
    let from = 0;
    let to = this.size;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const above = high[middle] as number;
      if (above < highWord || (above === highWord && (low[middle] as number) < lowWord)) from = middle + 1;
      else to = middle;
    }
    return from === this.size ? 0 : from;
  }

  hashAt(entry: number): bigint {
    return (BigInt(this.high[entry] as number) << 32n) | BigInt(this.low[entry] as number);
  }
}

export interface RingSize {
  readonly minSize: number;
  readonly maxSize: number;
}

/** Makes rings as Envoy and gRPC do, entry by entry, and keeps the hashes of the endpoints that remain. */
export class RingBuilder {
  #hashes = new Map<string, KeyHashes>();

  constructor(
    private readonly size: RingSize,
    private readonly hash64: Hash64,
  ) {}

  build(keys: readonly string[], weights: Weights): Ring {
    const counts = entriesEach(weights, keys.length, this.size);
    let size = 0;
    for (const count of counts) size += count;
    const high = new Uint32Array(size);
    const low = new Uint32Array(size);
    const owners = new Uint32Array(size);
    const kept = new Map<string, KeyHashes>();
    let at = 0;
    for (const [owner, key] of keys.entries()) {
      const count = counts[owner] as number;
      if (count === 0) continue;
      const hashes = this.#hashesOf(key, count);
      kept.set(key, hashes);
      high.set(hashes.high.subarray(0, count), at);
      low.set(hashes.low.subarray(0, count), at);
      owners.fill(owner, at, at + count);
      at += count;
    }
    this.#hashes = kept;
    return sorted(high, low, owners);
  }

  #hashesOf(key: string, count: number): KeyHashes {
    let hashes = this.#hashes.get(key);
    if (hashes === undefined) {
      hashes = { high: new Uint32Array(count), low: new Uint32Array(count), count: 0 };
      this.#hashes.set(key, hashes);
    }
    if (hashes.high.length < count) {
      hashes.high = grown(hashes.high, count);
      hashes.low = grown(hashes.low, count);
    }
    for (; hashes.count < count; hashes.count++) {
      // "each address is appended with an underscore and an index" - Envoy, gRFC A42.
      const hash = this.hash64(`${key}_${hashes.count}`);
      hashes.high[hashes.count] = highWord(hash);
      hashes.low[hashes.count] = lowWord(hash);
    }
    return hashes;
  }
}

function grown(words: Uint32Array, size: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(size);
  larger.set(words);
  return larger;
}

/**
 * How many entries each endpoint has: enough that the lightest has a whole number and the ring at least `minSize`, within `maxSize` (Envoy). Fractions
 * are carried on, so that they add up.
 */
function entriesEach(weights: Weights, count: number, { minSize, maxSize }: RingSize): Uint32Array {
  const counts = new Uint32Array(count);
  let total = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    total += weights[i] as number;
    least = Math.min(least, weights[i] as number);
  }
  // Normalised first, as Envoy does, so that the last bit of a fraction falls the same way.
  const lightest = least / total;
  const scale = Math.min(Math.ceil(lightest * minSize) / lightest, maxSize);
  let made = 0;
  let target = 0;
  for (let i = 0; i < count; i++) {
    target += scale * ((weights[i] as number) / total);
    const entries = Math.max(0, Math.ceil(target - made));
    counts[i] = entries;
    made += entries;
  }
  return counts;
}

function sorted(high: Uint32Array, low: Uint32Array, owners: Uint32Array): Ring {
  const order = sortedOrder(high, low);
  return new Ring(
    order.map((at) => high[at] as number),
    order.map((at) => low[at] as number),
    order.map((at) => owners[at] as number),
  );
}

/**
 * Positions by hash. A double holds the upper bits of the hash and the position, which sorts natively, tens of times faster than with a comparison;
 * the few whose upper bits are equal are put right afterwards.
 */
function sortedOrder(high: Uint32Array, low: Uint32Array): Uint32Array {
  const size = high.length;
  const positionBits = Math.max(1, Math.ceil(Math.log2(size + 1)));
  const dropped = Math.max(0, 32 + positionBits - EXACT_BITS);
  const unit = 2 ** positionBits;
  const packed = new Float64Array(size);
  for (let i = 0; i < size; i++) packed[i] = ((high[i] as number) >>> dropped) * unit + i;
  packed.sort();
  const order = Uint32Array.from(packed, (key) => key % unit);
  const before = (a: number, b: number): boolean =>
    (high[a] as number) < (high[b] as number) ||
    ((high[a] as number) === (high[b] as number) && (low[a] as number) < (low[b] as number));
  for (let i = 1; i < size; i++) {
    const moving = order[i] as number;
    let at = i;
    for (; at > 0 && before(moving, order[at - 1] as number); at--) order[at] = order[at - 1] as number;
    order[at] = moving;
  }
  return order;
}
