import type { Algorithm } from './algorithms/algorithm.js';
import { Slots } from './algorithms/slots.js';
import type { AlgorithmTable } from './algorithms/table.js';

/** What a key takes beside its characters: a slot, its place in the lists, its entry in the map and a string's own. Measured, bench/limits.ts. */
const KEY_BYTES = 160;
/** Old keys that each new one looks at, so that those that have expired are gone after half as many new ones. */
const SWEPT_PER_KEY = 2;
/** Keys looked at when there is no room: so many at least, and so many where all before are at their limit. */
const CANDIDATES = 16;
const MOST_CANDIDATES = 64;
/** What one counts among them that is not to go: so many more are looked at. */
const PASSED_BY = 0.0625;
const FIRST_CAPACITY = 1_024;

/** Keys and their slots, bounded; which one goes when there are too many. */
export class KeyedSlots {
  readonly slots = new Slots();
  readonly #byKey = new Map<string, number>();
  readonly #keys: (string | undefined)[] = [undefined];
  /** By slot, the number of its algorithm; 0: the slot is free. */
  #algorithm = new Uint32Array(1);
  readonly #free: number[] = [];
  /** Of keys and logs. */
  bytes = 0;
  /** Bytes of a slot's log as counted, by slot. */
  readonly #logBytes = new Map<number, number>();
  /** The slot that is looked at next. */
  #hand = 1;

  constructor(
    private readonly algorithms: AlgorithmTable,
    private readonly maxKeys: number,
    private readonly maxBytes: number,
  ) {}

  get size(): number {
    return this.#byKey.size;
  }

  /** The key's slot, readable by `algorithm`; 0: nothing is known of it. */
  find(key: string, algorithm: Algorithm, now: number): number {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return 0;
    const before = this.algorithms.at(this.#algorithm[slot] as number);
    if (before !== algorithm) this.#handOver(slot, before, algorithm, now);
    return slot;
  }

  /** A slot for a key that has none. */
  add(key: string, algorithm: Algorithm, now: number): number {
    for (let i = 0; i < SWEPT_PER_KEY; i++) this.#sweepOne(now);
    const bytes = bytesOf(key);
    while (this.size > 0 && (this.size >= this.maxKeys || this.bytes + bytes > this.maxBytes)) this.#evict(now, 0);
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#byKey.set(key, slot);
    this.#keys[slot] = key;
    this.#algorithm[slot] = this.algorithms.hold(algorithm);
    this.bytes += bytes;
    return slot;
  }

  /** The slot was written: its log may be longer. */
  grew(slot: number, now: number): void {
    const { logs } = this.slots;
    if (logs.size === 0 && this.#logBytes.size === 0) return;
    const bytes = logs.get(slot)?.bytes ?? 0;
    const before = this.#logBytes.get(slot) ?? 0;
    if (bytes === before) return;
    this.#logBytes.set(slot, bytes);
    this.bytes += bytes - before;
    while (this.bytes > this.maxBytes && this.size > 1) this.#evict(now, slot);
  }

  clear(): void {
    for (let slot = 1; slot < this.#keys.length; slot++) if (this.#keys[slot] !== undefined) this.#drop(slot);
  }

  /** The configuration has given the key another limit: what was used stays used. */
  #handOver(slot: number, from: Algorithm, to: Algorithm, now: number): void {
    if (from.shape !== to.shape) {
      const used = from.used(this.slots, slot, now);
      this.slots.clear(slot);
      if (used > 0) to.adopt(this.slots, slot, now, used);
      this.grew(slot, now);
    }
    this.algorithms.release(this.#algorithm[slot] as number);
    this.#algorithm[slot] = this.algorithms.hold(to);
  }

  #newSlot(): number {
    const slot = this.#keys.length;
    this.#keys.push(undefined);
    if (slot >= this.slots.capacity) {
      const capacity = Math.min(Math.max(2 * this.slots.capacity, FIRST_CAPACITY), this.maxKeys + 1);
      this.slots.grow(capacity);
      const grown = new Uint32Array(capacity);
      grown.set(this.#algorithm);
      this.#algorithm = grown;
    }
    return slot;
  }

  #next(): number {
    if (this.#hand >= this.#keys.length) this.#hand = 1;
    return this.#hand++;
  }

  #sweepOne(now: number): void {
    if (this.#keys.length === 1) return;
    const slot = this.#next();
    if (this.#keys[slot] !== undefined && (this.slots.ends[slot] as number) <= now) this.#drop(slot);
  }

  /** Drops one key, not that of slot `keep`. */
  #evict(now: number, keep: number): void {
    const { ends } = this.slots;
    let victim = 0;
    let least = Number.POSITIVE_INFINITY;
    let crowded = false;
    let seen = 0;
    // A slot that is free is no candidate, and costs little to pass by; of live ones there is one at least.
    for (let looked = 0; looked < this.#keys.length; looked++) {
      if (seen >= (crowded && least < 1 ? CANDIDATES : MOST_CANDIDATES)) break;
      const slot = this.#next();
      if (this.#keys[slot] === undefined || slot === keep) continue;
      if ((ends[slot] as number) <= now) {
        this.#drop(slot);
        return;
      }
      // A limit with no more than its part of the room loses no key to a flood of another's, as far as one is found soon.
      const ofCrowd = this.algorithms.crowded(this.#algorithm[slot] as number, this.size);
      seen += ofCrowd ? 1 : PASSED_BY;
      if (crowded && !ofCrowd) continue;
      if (ofCrowd && !crowded) {
        crowded = true;
        least = Number.POSITIVE_INFINITY;
      }
      const share = this.#share(slot, now);
      if (share < least || (share === least && (ends[slot] as number) < (ends[victim] as number))) {
        least = share;
        victim = slot;
      }
    }
    if (victim !== 0) this.#drop(victim);
  }

  /** How much of its limit a key has used: 0 to 1. */
  #share(slot: number, now: number): number {
    const algorithm = this.algorithms.at(this.#algorithm[slot] as number);
    const { capacity } = algorithm;
    // Nearly all is all: a request of a bucket comes back by and by.
    return capacity === 0 || algorithm.remaining(this.slots, slot, now) === 0
      ? 1
      : algorithm.used(this.slots, slot, now) / capacity;
  }

  #drop(slot: number): void {
    const key = this.#keys[slot] as string;
    this.#byKey.delete(key);
    this.#keys[slot] = undefined;
    this.slots.clear(slot);
    this.algorithms.release(this.#algorithm[slot] as number);
    this.#algorithm[slot] = 0;
    this.bytes -= bytesOf(key) + (this.#logBytes.get(slot) ?? 0);
    this.#logBytes.delete(slot);
    this.#free.push(slot);
  }
}

const bytesOf = (key: string): number => KEY_BYTES + key.length;
