import type { RouteMatch } from '../../core/model/match.js';
import type { Predicate, RequestView } from '../request.js';
import { cluesOf, readerOf, type Clue, type ReadPlace } from './clues.js';
import { bestSplit, type Split, usedKey } from './split.js';
import { TextGroups } from './text-groups.js';

/** One route in an index, found by its path. */
export interface Entry {
  /** Its place in the configuration: the lowest that matches wins. */
  readonly index: number;
  readonly match: RouteMatch;
  /** What its place in the index does not say of the path; undefined: nothing. Given the path without its query. */
  readonly path: ((path: string) => boolean) | undefined;
  /** What is asked beside the path; undefined: nothing. */
  readonly conditions: Predicate | undefined;
}

interface CluedEntry extends Entry {
  readonly clues: readonly Clue[];
}

/** From so many routes for one path on, they are told apart by what they cannot do without. */
const SPLIT_AT = 8;

/** Clues at most by which routes are told apart one after the other. */
const MAX_SPLITS = 8;

/** Routes with the same path, or with the same beginning of one. */
export interface Bucket {
  /** The lowest index below `below` that matches, else `below`. */
  first(request: RequestView, path: string, below: number): number;
}

/** A bucket that is filled first, in order of the indices, and made ready when a request first comes to it. */
export class LazyBucket implements Bucket {
  readonly entries: Entry[] = [];
  #bucket: Bucket | undefined;

  first(request: RequestView, path: string, below: number): number {
    this.#bucket ??= this.#make();
    return this.#bucket.first(request, path, below);
  }

  #make(): Bucket {
    const { entries } = this;
    if (entries.length < SPLIT_AT) return new ListBucket(entries);
    return bucketOf(
      entries.map((entry) => ({ ...entry, clues: cluesOf(entry.match) })),
      new Set(),
    );
  }
}

/** `used`: clues by which the entries are told apart already. */
function bucketOf(entries: readonly CluedEntry[], used: ReadonlySet<string>): Bucket {
  const done = entries.length < SPLIT_AT || used.size >= MAX_SPLITS;
  const split = done ? undefined : bestSplit(entries, used, SPLIT_AT);
  return split === undefined ? new ListBucket(entries) : new SplitBucket(entries, split, used);
}

class ListBucket implements Bucket {
  constructor(private readonly entries: readonly Entry[]) {}

  first(request: RequestView, path: string, below: number): number {
    for (const { index, path: rest, conditions } of this.entries) {
      if (index >= below) return below;
      if ((rest === undefined || rest(path)) && (conditions === undefined || conditions(request))) return index;
    }
    return below;
  }
}

/** A bucket that is filled before it is made. */
class Pending {
  readonly entries: CluedEntry[] = [];
  bucket: Bucket | undefined;
}

/** Routes that are told apart by text in one place of the request: a look-up leaves those whose text is there, and those that ask for none. */
class SplitBucket implements Bucket {
  readonly #read: ReadPlace;
  readonly #cased = new TextGroups<Pending>();
  readonly #folded = new TextGroups<Pending>();
  readonly #others: Bucket;

  constructor(entries: readonly CluedEntry[], { place, clues }: Split<CluedEntry>, used: ReadonlySet<string>) {
    this.#read = readerOf(place);
    const others: CluedEntry[] = [];
    const groups = new Map<Pending, string>();
    for (const entry of entries) {
      const clue = clues.get(entry);
      if (clue === undefined) others.push(entry);
      for (const text of clue?.texts ?? []) {
        const groupsOf = clue?.ignoreCase ? this.#folded : this.#cased;
        const group = groupsOf.at(clue?.how ?? 'is', text, () => new Pending());
        group.entries.push(entry);
        groups.set(group, text);
      }
    }
    for (const [group, text] of groups) {
      group.bucket = bucketOf(group.entries, new Set(used).add(usedKey(place, text)));
    }
    this.#others = bucketOf(others, used);
  }

  first(request: RequestView, path: string, below: number): number {
    const texts = this.#read(request, path);
    let best = below;
    if (texts !== undefined) {
      const better = ({ bucket }: Pending, found: number): number => bucket?.first(request, path, found) ?? found;
      if (!this.#cased.empty) best = this.#cased.visit(texts, best, better);
      if (!this.#folded.empty) best = this.#folded.visit(lowerCase(texts), best, better);
    }
    return this.#others.first(request, path, best);
  }
}

const lowerCase = (texts: string | readonly string[]): string | readonly string[] =>
  typeof texts === 'string' ? texts.toLowerCase() : texts.map((text) => text.toLowerCase());
