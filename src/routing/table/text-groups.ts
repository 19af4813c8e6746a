import { PrefixTree } from './prefix-tree.js';

interface Group<T> {
  readonly value: T;
  /** The look-up that it was last found by: one is visited once, however often its text is there. */
  found: number;
}

/** Values by what a text is, or has anywhere in it. All that hold are found in one pass over the text, whatever their number. */
export class TextGroups<T> {
  readonly #is = new Map<string, Group<T>>();
  readonly #has = new PrefixTree<Group<T>>();
  /** Between two look-ups its content is void. */
  readonly #at: Group<T>[] = [];
  #lookups = 0;

  get empty(): boolean {
    return this.#is.size === 0 && this.#has.size === 0;
  }

  /** The value for a text, made when there is none. */
  at(how: 'is' | 'has', text: string, make: () => T): T {
    if (how === 'has') return this.#has.at(text, () => ({ value: make(), found: 0 })).value;
    let group = this.#is.get(text);
    if (group === undefined) {
      group = { value: make(), found: 0 };
      this.#is.set(text, group);
    }
    return group.value;
  }

  /** Goes from `best` to better ones: `better` is given each value that holds for any of the texts. */
  visit(texts: string | readonly string[], best: number, better: (value: T, best: number) => number): number {
    this.#lookups++;
    if (typeof texts === 'string') return this.#visitOne(texts, best, better);
    let found = best;
    for (const text of texts) found = this.#visitOne(text, found, better);
    return found;
  }

  #visitOne(text: string, best: number, better: (value: T, best: number) => number): number {
    const group = this.#is.get(text);
    let found = group === undefined ? best : this.#visitGroup(group, best, better);
    if (this.#has.size === 0) return found;
    for (let from = 0; from < text.length; from++) {
      const count = this.#has.collect(text, this.#at, from);
      for (let i = 0; i < count; i++) found = this.#visitGroup(this.#at[i] as Group<T>, found, better);
    }
    return found;
  }

  #visitGroup(group: Group<T>, best: number, better: (value: T, best: number) => number): number {
    if (group.found === this.#lookups) return best;
    group.found = this.#lookups;
    return better(group.value, best);
  }
}
