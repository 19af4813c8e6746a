import type { Random } from '../../../src/core/random.js';

/** Choices of a generator, from a seed. */
export class Chance {
  constructor(private readonly random: Random) {}

  int(below: number): number {
    return this.random.int(below);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.int(list.length)] as T;
  }

  /** One time in `outOf`. */
  once(outOf: number): boolean {
    return this.random.int(outOf) === 0;
  }

  /** The fields one time in `outOf`, else none. */
  maybe<T extends object>(outOf: number, fields: () => T): T | Record<string, never> {
    return this.once(outOf) ? fields() : {};
  }

  /** From `least` to `most` values. */
  some<T>(least: number, most: number, make: (index: number) => T): T[] {
    return Array.from({ length: least + this.random.int(most - least + 1) }, (_, i) => make(i));
  }

  /** Different ones of a list. */
  distinct<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    const chosen: T[] = [];
    while (chosen.length < count && rest.length > 0) chosen.push(...rest.splice(this.random.int(rest.length), 1));
    return chosen;
  }
}
