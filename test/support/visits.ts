import type { Steps } from '../../src/core/steps.js';

/** Counts what a piece of work looks at. */
export class Visits {
  count = 0;

  /** The same plain value, in which each element of a list and each message that is looked at counts as one. */
  watch<T>(value: T): T {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    const isList = Array.isArray(value);
    return new Proxy(value, {
      get: (target, key, receiver) => {
        const found: unknown = Reflect.get(target, key, receiver);
        const isPart = isList ? typeof key === 'string' && /^\d+$/.test(key) : typeof found === 'object';
        if (isPart) this.count++;
        return this.watch(found);
      },
      ownKeys: (target) => {
        const keys = Reflect.ownKeys(target);
        this.count += keys.length;
        return keys;
      },
    });
  }

  /** The most that one step of `work` looks at, whether it ends well or not. */
  largestStep(work: Steps<unknown>): number {
    let largest = 0;
    for (;;) {
      this.count = 0;
      let done: boolean | undefined = true;
      try {
        done = work.next().done;
      } catch {
        // Refused: it has looked at what it has looked at.
      }
      largest = Math.max(largest, this.count);
      if (done === true) return largest;
    }
  }
}
