import type { Clock } from '../../../src/core/clock.js';
import { settle } from '../../support/fake-clock.js';

interface Timer {
  readonly at: number;
  readonly order: number;
  task: (() => void) | undefined;
}

/**
 * Virtual time for simulations with many thousand timers: a heap, where FakeClock looks through all of its timers for the next. Timers run in order of
 * time, then of setting.
 */
export class EventClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #heap: Timer[] = [];

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return 1_700_000_000_000 + this.#now;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, task };
    this.#push(timer);
    return () => {
      timer.task = undefined;
    };
  }

  /** Goes on until `until`, letting promises settle after each timer. */
  async run(until: number): Promise<void> {
    await settle();
    while (this.#step(until)) await settle();
    this.#now = until;
  }

  /** The same for what has no promises in it: a hundred times as fast. */
  runAtOnce(until: number): void {
    while (this.#step(until));
    this.#now = until;
  }

  /** Runs the next timer; false when there is none until then. */
  #step(until: number): boolean {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.at > until) return false;
      this.#pop();
      if (first.task === undefined) continue;
      this.#now = first.at;
      first.task();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent] as Timer, timer)) break;
      heap[at] = heap[parent] as Timer;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child++;
      if (isBefore(last, heap[child] as Timer)) break;
      heap[at] = heap[child] as Timer;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
