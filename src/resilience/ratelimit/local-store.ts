import type { Clock } from '../../core/clock.js';
import type { LimitState, LimitStore } from '../../core/limits.js';
import type { Limit } from '../../core/model/limit.js';
import type { Algorithm } from './algorithms/algorithm.js';
import { AlgorithmTable } from './algorithms/table.js';
import { KeyedSlots } from './keyed-slots.js';

export interface LocalStoreOptions {
  readonly clock: Pick<Clock, 'now' | 'wallTime'>;
  /** Keys at most, from 1. Default 1_000_000. */
  readonly maxKeys?: number | undefined;
  /** Bytes of keys and logs at most, roughly, from 1_000. Default 256 MiB. */
  readonly maxBytes?: number | undefined;
}

export const DEFAULT_MAX_KEYS = 1_000_000;
export const DEFAULT_MAX_BYTES = 268_435_456;

/** What one count of this process says. */
class LocalState implements LimitState {
  constructor(
    readonly limit: number,
    readonly remaining: number,
    readonly resetMs: number,
    readonly retryAfterMs: number,
    /** In which the request was counted: a window that is over gets nothing back. */
    readonly window: number,
    /** When, in monotonic milliseconds. */
    readonly at: number,
  ) {}

  get allowed(): boolean {
    return this.retryAfterMs === 0;
  }
}

/**
 * Counts in this process. It never waits and never throws. Nothing runs in the background: each new key looks at two old ones, and what has expired is
 * dropped without a loss.
 *
 * When there is no room for a new key, of some that are looked at in turn one that has expired goes; else one of a limit that has more than its part of the
 * room (as much as others in use): the one that has used the least of its limit, and only where all of them are at their limit, the one whose time is up
 * first. A key at its limit thus outlives a flood of fresh ones, and one that has used some of its quota a flood of keys of another limit, whatever these
 * have used. Where there are more limited keys than room, the limit of the oldest is forgotten. Nobody is refused for want of room.
 */
export class LocalStore implements LimitStore {
  readonly #clock: Pick<Clock, 'now' | 'wallTime'>;
  readonly #algorithms: AlgorithmTable;
  readonly #keys: KeyedSlots;

  constructor({ clock, maxKeys = DEFAULT_MAX_KEYS, maxBytes = DEFAULT_MAX_BYTES }: LocalStoreOptions) {
    this.#clock = clock;
    this.#algorithms = new AlgorithmTable(clock);
    this.#keys = new KeyedSlots(this.#algorithms, maxKeys, maxBytes);
  }

  /** Keys held now, those that have expired and were not met since included. */
  get size(): number {
    return this.#keys.size;
  }

  /** Of keys and logs, roughly. */
  get bytes(): number {
    return this.#keys.bytes;
  }

  /** What `take` would say, without taking. */
  peek(key: string, limit: Limit, cost: number): LimitState {
    const now = this.#clock.now();
    const algorithm = this.#algorithms.of(limit);
    const slot = this.#keys.find(key, algorithm, now);
    return this.#state(algorithm, slot, now, algorithm.waitMs(this.#keys.slots, slot, now, cost));
  }

  take(key: string, limit: Limit, cost: number): LimitState {
    const now = this.#clock.now();
    const algorithm = this.#algorithms.of(limit);
    let slot = this.#keys.find(key, algorithm, now);
    const waitMs = algorithm.waitMs(this.#keys.slots, slot, now, cost);
    if (waitMs === 0 && cost > 0) {
      if (slot === 0) slot = this.#keys.add(key, algorithm, now);
      algorithm.take(this.#keys.slots, slot, now, cost);
      this.#keys.grew(slot, now);
    }
    return this.#state(algorithm, slot, now, waitMs);
  }

  giveBack(key: string, limit: Limit, cost: number, taken: LimitState): void {
    const now = this.#clock.now();
    const algorithm = this.#algorithms.of(limit);
    const slot = this.#keys.find(key, algorithm, now);
    if (slot === 0 || !(taken instanceof LocalState)) return;
    algorithm.giveBack(this.#keys.slots, slot, now, cost, taken.window, taken.at);
  }

  close(): void {
    this.#keys.clear();
  }

  #state(algorithm: Algorithm, slot: number, now: number, waitMs: number): LocalState {
    const { slots } = this.#keys;
    return new LocalState(
      algorithm.capacity,
      algorithm.remaining(slots, slot, now),
      algorithm.resetMs(slots, slot, now),
      waitMs,
      algorithm.window(slots, slot, now),
      now,
    );
  }
}
