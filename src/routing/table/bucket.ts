import type { RouteMatch } from '../../core/model/match.js';
import { matchedValue } from '../match/headers.js';
import type { Predicate, RequestView } from '../request.js';

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

/** From so many routes for one path on, they are told apart by a header. */
const SPLIT_AT = 8;

/** Routes with the same path. */
export interface Bucket {
  /** The lowest index below `below` that matches, else `below`. */
  first(request: RequestView, path: string, below: number): number;
}

/** `used`: headers by which the entries are told apart already. */
function bucketOf(entries: readonly Entry[], used: ReadonlySet<string> = new Set()): Bucket {
  if (entries.length >= SPLIT_AT) {
    const name = discriminator(entries, used);
    if (name !== undefined) return new SplitBucket(entries, name, used);
  }
  return new ListBucket(entries);
}

/** A bucket that is filled first, in order of the indices, and made ready when a request first comes to it. */
export class LazyBucket implements Bucket {
  readonly entries: Entry[] = [];
  #bucket: Bucket | undefined;

  first(request: RequestView, path: string, below: number): number {
    this.#bucket ??= bucketOf(this.entries);
    return this.#bucket.first(request, path, below);
  }
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

/** Routes of which most ask for one exact value of the same header (or `:method`): a look-up leaves a few. */
class SplitBucket implements Bucket {
  readonly #byValue = new Map<string, Bucket>();
  readonly #others: Bucket;

  constructor(
    entries: readonly Entry[],
    private readonly name: string,
    used: ReadonlySet<string>,
  ) {
    const groups = new Map<string, Entry[]>();
    const others: Entry[] = [];
    for (const entry of entries) {
      const value = exactValue(entry, name);
      const group = value === undefined ? others : groups.get(value);
      if (group !== undefined) group.push(entry);
      else if (value !== undefined) groups.set(value, [entry]);
    }
    const now = new Set(used).add(name);
    for (const [value, group] of groups) this.#byValue.set(value, bucketOf(group, now));
    this.#others = bucketOf(others, now);
  }

  first(request: RequestView, path: string, below: number): number {
    const value = matchedValue(request, this.name);
    let best = below;
    if (typeof value === 'object') for (const one of value) best = this.#firstOf(one, request, path, best);
    else if (value !== undefined) best = this.#firstOf(value, request, path, best);
    return this.#others.first(request, path, best);
  }

  #firstOf(value: string, request: RequestView, path: string, below: number): number {
    return this.#byValue.get(value)?.first(request, path, below) ?? below;
  }
}

/** The header that the most entries ask an exact value of; undefined when that is not worth a look-up. */
function discriminator(entries: readonly Entry[], used: ReadonlySet<string>): string | undefined {
  const counts = new Map<string, number>();
  for (const { match } of entries) {
    for (const name of new Set(match.headers.map((header) => header.name))) {
      if (!used.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  let best: string | undefined;
  let most = SPLIT_AT - 1;
  for (const name of counts.keys()) {
    const count = entries.filter((entry) => exactValue(entry, name) !== undefined).length;
    if (count > most) {
      most = count;
      best = name;
    }
  }
  return best;
}

/** The one value of the header with which the entry can match; undefined when there is not just one. */
function exactValue({ match }: Entry, name: string): string | undefined {
  for (const { name: other, match: value, invert, treatMissingAsEmpty } of match.headers) {
    if (other !== name || invert || treatMissingAsEmpty) continue;
    if (value.kind === 'exact' && !value.ignoreCase) return value.value;
  }
  return undefined;
}
