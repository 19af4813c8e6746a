import type { Clue, Place } from './clues.js';

/** A route, by what it cannot do without. */
export interface Clued {
  readonly clues: readonly Clue[];
}

/** A way of telling routes apart: by which place of the request, and by which clue each; those that have none there are not in it. */
export interface Split<E> {
  readonly place: Place;
  readonly clues: ReadonlyMap<E, Clue>;
}

/**
 * The place by which routes are told apart best: where the fewest are expected to be left to try. Undefined when `least` routes have no clue in common
 * place. `used` are clues by which they are told apart already.
 */
export function bestSplit<E extends Clued>(
  entries: readonly E[],
  used: ReadonlySet<string>,
  least: number,
): Split<E> | undefined {
  const places = new Map<Place, PlaceCount<E>>();
  for (const entry of entries) {
    for (const clue of entry.clues) {
      if (clue.texts.some((text) => used.has(usedKey(clue.place, text)))) continue;
      let count = places.get(clue.place);
      if (count === undefined) {
        count = new PlaceCount();
        places.set(clue.place, count);
      }
      count.add(entry, clue);
    }
  }
  let best: { readonly split: Split<E>; readonly left: number } | undefined;
  for (const [place, count] of places) {
    if (count.entries < least) continue;
    const { clues, left } = count.choose(entries.length);
    if (best === undefined || left < best.left) best = { split: { place, clues }, left };
  }
  return best?.split;
}

/** A clue that is used up, as `used` has it. */
export const usedKey = (place: Place, text: string): string => `${place}\n${text}`;

/** What entries have in one place. */
class PlaceCount<E> {
  readonly #clues = new Map<E, Clue[]>();
  readonly #byText = new Map<string, number>();

  get entries(): number {
    return this.#clues.size;
  }

  add(entry: E, clue: Clue): void {
    const clues = this.#clues.get(entry);
    if (clues === undefined) this.#clues.set(entry, [clue]);
    else clues.push(clue);
    for (const text of clue.texts) this.#byText.set(text, (this.#byText.get(text) ?? 0) + 1);
  }

  /** For each entry the clue that it shares with the fewest others, and how many of `all` a request is expected to leave to try. */
  choose(all: number): { readonly clues: ReadonlyMap<E, Clue>; readonly left: number } {
    const chosen = new Map<E, Clue>();
    const sizes = new Map<string, number>();
    for (const [entry, clues] of this.#clues) {
      const rarest = clues.reduce((best, clue) => (this.#isRarer(clue, best) ? clue : best));
      chosen.set(entry, rarest);
      for (const text of rarest.texts) sizes.set(text, (sizes.get(text) ?? 0) + 1);
    }
    let met = 0;
    for (const size of sizes.values()) met += size * size;
    return { clues: chosen, left: all - chosen.size + met / chosen.size };
  }

  #isRarer(clue: Clue, other: Clue): boolean {
    if (clue.how !== other.how) return clue.how === 'is';
    const difference = this.#count(clue) - this.#count(other);
    return difference < 0 || (difference === 0 && length(clue) > length(other));
  }

  #count({ texts }: Clue): number {
    return texts.reduce((sum, text) => sum + (this.#byText.get(text) ?? 0), 0);
  }
}

const length = ({ texts }: Clue): number => Math.min(...texts.map((text) => text.length));
