import type { RbacPolicy } from '../../core/model/authorization.js';
import { principalNames } from './conditions.js';
import { DIMENSIONS, type Dimension, type Key, keysOf } from './keys.js';
import type { AuthzRequest } from './request.js';

/** A policy with its place among the others. */
interface Entry<T> {
  readonly order: number;
  readonly value: T;
}

type Bucket<T> = Entry<T>[];

/** Policies under the texts that they need, by one of the dimensions. */
class TextIndex<T> {
  readonly #exact = new Map<string, Bucket<T>>();
  readonly #prefix = new Map<string, Bucket<T>>();
  readonly #suffix = new Map<string, Bucket<T>>();
  /** Lengths that there are, shortest first. */
  readonly #prefixLengths: number[] = [];
  readonly #suffixLengths: number[] = [];

  add({ kind, text }: Key, entry: Entry<T>): void {
    const map = kind === 'exact' ? this.#exact : kind === 'prefix' ? this.#prefix : this.#suffix;
    const bucket = map.get(text);
    if (bucket === undefined) map.set(text, [entry]);
    else if (bucket.at(-1) !== entry) bucket.push(entry);
    if (kind === 'prefix') addLength(this.#prefixLengths, text.length);
    if (kind === 'suffix') addLength(this.#suffixLengths, text.length);
  }

  /** Hands on all buckets whose key `text` has. */
  find(text: string, search: Search<T>): void {
    if (this.#exact.size > 0) search.look(this.#exact.get(text));
    for (const length of this.#prefixLengths) {
      if (length > text.length) break;
      search.look(this.#prefix.get(text.slice(0, length)));
    }
    for (const length of this.#suffixLengths) {
      if (length > text.length) break;
      search.look(this.#suffix.get(text.slice(text.length - length)));
    }
  }
}

function addLength(lengths: number[], length: number): void {
  if (lengths.includes(length)) return;
  lengths.push(length);
  lengths.sort((a, b) => a - b);
}

/** Looks for the first policy that matches, in their order, whatever the order in which they are met. */
class Search<T> {
  found: Entry<T> | undefined;

  constructor(
    private readonly request: AuthzRequest,
    private readonly matches: (value: T, request: AuthzRequest) => boolean,
  ) {}

  /** In the order of the policies. */
  look(bucket: Bucket<T> | undefined): void {
    if (bucket === undefined) return;
    for (const entry of bucket) {
      if (this.found !== undefined && this.found.order <= entry.order) return;
      if (this.matches(entry.value, this.request)) {
        this.found = entry;
        return;
      }
    }
  }
}

/**
 * Finds the first of many policies that matches a request, by looking only at those that can: each is under the texts (path, principal, host) that it needs, by the
 * dimension in which it has the fewest neighbours. Those that need none are looked at one by one.
 */
export class PolicyIndex<T> {
  readonly #byDimension = new Map<Dimension, TextIndex<T>>();
  readonly #others: Bucket<T> = [];

  constructor(
    policies: readonly { readonly policy: RbacPolicy; readonly value: T }[],
    private readonly matches: (value: T, request: AuthzRequest) => boolean,
  ) {
    const keyed = policies.map(({ policy }) => DIMENSIONS.map((dimension) => keysOf(policy, dimension)));
    const neighbours = DIMENSIONS.map((_, at) => countKeys(keyed.map((keys) => keys[at])));
    policies.forEach(({ value }, order) => {
      const entry = { order, value };
      const at = leastCrowded(keyed[order] ?? [], neighbours);
      const keys = at < 0 ? undefined : keyed[order]?.[at];
      if (keys === undefined) this.#others.push(entry);
      else for (const key of keys) this.#textIndex(DIMENSIONS[at] as Dimension).add(key, entry);
    });
  }

  find(request: AuthzRequest): T | undefined {
    const search = new Search(request, this.matches);
    this.#byDimension.get('path')?.find(request.judgedPath.toLowerCase(), search);
    this.#byDimension.get('host')?.find(request.host.toLowerCase(), search);
    const byPrincipal = this.#byDimension.get('principal');
    if (byPrincipal !== undefined)
      for (const name of principalNames(request)) byPrincipal.find(name.toLowerCase(), search);
    search.look(this.#others);
    return search.found?.value;
  }

  #textIndex(dimension: Dimension): TextIndex<T> {
    let index = this.#byDimension.get(dimension);
    if (index === undefined) {
      index = new TextIndex<T>();
      this.#byDimension.set(dimension, index);
    }
    return index;
  }
}

const nameOf = ({ kind, text }: Key): string => `${kind} ${text}`;

function countKeys(all: readonly (readonly Key[] | undefined)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const keys of all) for (const key of keys ?? []) counts.set(nameOf(key), (counts.get(nameOf(key)) ?? 0) + 1);
  return counts;
}

/** The dimension in which the fullest of the policy's places holds the fewest, of several one with whole texts, which are found at once; -1: it has keys in none. */
function leastCrowded(
  keyed: readonly (readonly Key[] | undefined)[],
  neighbours: readonly ReadonlyMap<string, number>[],
): number {
  let best = -1;
  let fewest = Number.POSITIVE_INFINITY;
  keyed.forEach((keys, at) => {
    if (keys === undefined) return;
    const crowd = Math.max(0, ...keys.map((key) => neighbours[at]?.get(nameOf(key)) ?? 0));
    const cost = crowd + (keys.every(({ kind }) => kind === 'exact') ? 0 : 0.5);
    if (cost < fewest) {
      best = at;
      fewest = cost;
    }
  });
  return best;
}
