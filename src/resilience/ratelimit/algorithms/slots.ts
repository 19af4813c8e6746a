import type { RequestLog } from './request-log.js';

/**
 * What is known of each key: a slot in columns of numbers, 28 bytes, where an object with three numbers takes 112 (V8 boxes each). What the numbers mean is
 * the algorithm's business; in all of them a slot whose `ends` has passed says as much as one that was never written. Slot 0 is never written: it stands for
 * keys that are not known.
 */
export class Slots {
  /** Monotonic milliseconds from which on the state is as if nothing had been. */
  ends = new Float64Array(1).fill(Number.NEGATIVE_INFINITY);
  a = new Float64Array(1);
  b = new Float64Array(1);
  /** Of keys under a sliding log. */
  readonly logs = new Map<number, RequestLog>();

  get capacity(): number {
    return this.ends.length;
  }

  grow(capacity: number): void {
    this.ends = grown(this.ends, capacity).fill(Number.NEGATIVE_INFINITY, this.capacity);
    this.a = grown(this.a, capacity);
    this.b = grown(this.b, capacity);
  }

  clear(slot: number): void {
    this.ends[slot] = Number.NEGATIVE_INFINITY;
    this.a[slot] = 0;
    this.b[slot] = 0;
    if (this.logs.size > 0) this.logs.delete(slot);
  }
}

function grown(from: Float64Array<ArrayBuffer>, capacity: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(capacity);
  to.set(from);
  return to;
}
