import type { Clock } from './clock.js';
import { outsideOfCalls } from './context.js';
import { throwAll } from './throw-all.js';

/** A call being watched. Made by `Deadlines.watch`, ended by `stop`. */
export interface DeadlineEntry {
  /** Forget it: the call is over. Safe to call twice. */
  stop(): void;
}

/** Width of one slot. A deadline fires at most this many milliseconds late, never early. */
const SLOT_MS = 4;
/** 15 s of slots and a little: with the default limit alone there is never a sweep. */
const MIN_SWEEP = 4_096;

/**
 * A place in a slot's ring. Linked by hand: a Set that gains and loses an entry per call keeps its outgrown tables, and what they name, alive
 * until they are collected, which made young collections ten times as long.
 */
class Entry implements DeadlineEntry {
  previous: Entry = this;
  next: Entry = this;

  constructor(readonly onExpired: () => void) {}

  stop(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
  }
}

/** The entries of one slot, in a ring around a head that is none itself. */
class Slot {
  readonly #head = new Entry(() => {});

  get empty(): boolean {
    return this.#head.next === this.#head;
  }

  add(entry: Entry): void {
    const last = this.#head.previous;
    entry.previous = last;
    entry.next = this.#head;
    last.next = entry;
    this.#head.previous = entry;
  }

  /** Takes the first out; undefined when there is none. */
  shift(): Entry | undefined {
    const first = this.#head.next;
    if (first === this.#head) return undefined;
    first.stop();
    return first;
  }
}

/**
 * Deadlines of many calls on one timer. A timer of its own per call costs 0.3 µs to set and clear and weighs on the loop; calls
 * with like deadlines share a slot of 4 ms here, and a slot that has emptied costs nothing but its wake-up.
 */
export class Deadlines {
  readonly #slots = new Map<number, Slot>();
  /** The slot that the timer waits for; Infinity when no timer runs. */
  #armedFor = Number.POSITIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;
  /** So many slots, and the empty ones are looked for; twice as many as were not empty then. */
  #sweepAt = MIN_SWEEP;
  #closed = false;

  constructor(private readonly clock: Clock) {}

  /** Slots held now, for tests and dumps. */
  get slots(): number {
    return this.#slots.size;
  }

  /**
   * Runs `onExpired` once the monotonic time `at` has passed; at the next turn of the loop if it has already. In no call's async context: who calls the
   * application or sends something in it takes its own along (`callersContext`).
   */
  watch(at: number, onExpired: () => void): DeadlineEntry {
    const entry = new Entry(onExpired);
    if (this.#closed) return entry;
    const key = Math.ceil(at / SLOT_MS);
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      if (this.#slots.size >= this.#sweepAt) this.#sweep();
      slot = new Slot();
      this.#slots.set(key, slot);
      if (key < this.#armedFor) this.#arm(key);
    }
    slot.add(entry);
    return entry;
  }

  /** Ends the timer and forgets all entries without firing them; there are no new ones. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.#slots.clear();
  }

  /** Long deadlines that are stopped early leave empty slots which the timer would come to in hours. */
  #sweep(): void {
    for (const [key, slot] of this.#slots) if (slot.empty) this.#slots.delete(key);
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#slots.size);
  }

  #arm(key: number): void {
    this.#cancelTimer?.();
    this.#armedFor = key;
    const delayMs = key * SLOT_MS - this.clock.now();
    this.#cancelTimer = outsideOfCalls(() => this.clock.after(delayMs, () => this.#fire(), { background: true }));
  }

  #fire(): void {
    const now = this.clock.now();
    const due: Slot[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [key, slot] of this.#slots) {
      if (key * SLOT_MS <= now || slot.empty) {
        this.#slots.delete(key);
        due.push(slot);
      } else if (key < next) next = key;
    }
    this.#armedFor = Number.POSITIVE_INFINITY;
    this.#cancelTimer = undefined;
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
    const errors: unknown[] = [];
    for (const slot of due) {
      for (let entry = slot.shift(); entry !== undefined; entry = slot.shift()) {
        // One call's listener that throws is no reason for another call to have no deadline.
        try {
          entry.onExpired();
        } catch (error) {
          errors.push(error);
        }
      }
    }
    throwAll(errors, 'listeners of deadlines');
  }
}
