import type { RouteMatch } from '../../core/model/match.js';
import { compileConditions, type MatchEnv, never } from '../match.js';
import { atBoundary, bareSegments, matchesAllPaths } from '../match/path.js';
import { pathOnly, type RequestView } from '../request.js';
import { type Entry, LazyBucket } from './bucket.js';
import { PrefixTree } from './prefix-tree.js';
import { requiredText } from './required-text.js';

/** Paths of one case: as they are, or folded. */
class PathIndex {
  readonly exact = new Map<string, LazyBucket>();
  readonly prefixes = new PrefixTree<LazyBucket>();

  get empty(): boolean {
    return this.exact.size === 0 && this.prefixes.size === 0;
  }

  add(index: number, match: RouteMatch, conditions: Entry['conditions']): void {
    const { path } = match;
    const entry = { index, match, conditions };
    if (path.kind === 'regex') {
      const { regex } = path;
      this.#addPrefix(requiredText(regex.source).prefix, { ...entry, path: (text) => regex.matches(text) });
      return;
    }
    const value = path.ignoreCase ? path.value.toLowerCase() : path.value;
    if (path.kind === 'exact') this.#addExact(value, { ...entry, path: undefined });
    else if (matchesAllPaths(path)) this.#addPrefix('', { ...entry, path: undefined });
    else if (path.kind === 'prefix') this.#addPrefix(value, { ...entry, path: undefined });
    else {
      const bare = bareSegments(value);
      this.#addPrefix(bare, { ...entry, path: (text) => atBoundary(text, bare.length) });
    }
  }

  #addExact(path: string, entry: Entry): void {
    let bucket = this.exact.get(path);
    if (bucket === undefined) {
      bucket = new LazyBucket();
      this.exact.set(path, bucket);
    }
    bucket.entries.push(entry);
  }

  #addPrefix(prefix: string, entry: Entry): void {
    this.prefixes.at(prefix, () => new LazyBucket()).entries.push(entry);
  }
}

/**
 * Routes, compiled so that a look-up costs about the same among 5,000 as among 50. The first route of the list that matches wins, as though
 * each were tried in turn: exact paths are in a map, prefixes, segments and what expressions begin with in a tree; routes with the same one are told
 * apart by text that they cannot do without (`bucket.ts`). Of all that a request leads to, the lowest index is sought, and nothing is tried above the best
 * so far. What has no such text is tried one by one: inverted matches, ranges and fractions alone, expressions without a literal character.
 */
export class RouteTable<T> {
  readonly #values: readonly T[];
  /** The one route that takes every request, when there is no other. */
  readonly #only: T | undefined;
  readonly #cased: PathIndex | undefined;
  readonly #folded: PathIndex | undefined;
  /** Between two look-ups its content is void. */
  readonly #found: LazyBucket[] = [];

  constructor(routes: readonly { readonly match: RouteMatch; readonly value: T }[], env: MatchEnv) {
    this.#values = routes.map(({ value }) => value);
    const cased = new PathIndex();
    const folded = new PathIndex();
    let first: number | undefined;
    for (const [index, { match }] of routes.entries()) {
      const conditions = compileConditions(match, env);
      // Of a caller that is never this one.
      if (conditions === never) continue;
      first ??= index;
      const { path } = match;
      // Who calls is no clue where it is known beforehand: requests do not say it.
      const asked = env.source === undefined ? match : { ...match, source: undefined };
      (path.kind !== 'regex' && path.ignoreCase ? folded : cased).add(index, asked, conditions);
      // Nothing behind a route that takes every request is ever reached.
      if (conditions === undefined && matchesAllPaths(path)) {
        if (first === index) this.#only = this.#values[index];
        break;
      }
    }
    if (this.#only !== undefined) return;
    this.#cased = cased.empty ? undefined : cased;
    this.#folded = folded.empty ? undefined : folded;
  }

  /** The value of the first route that matches. */
  find(request: RequestView): T | undefined {
    if (this.#only !== undefined) return this.#only;
    const path = pathOnly(request.path);
    let best = Number.POSITIVE_INFINITY;
    if (this.#cased !== undefined) best = this.#search(this.#cased, request, path, path, best);
    if (this.#folded !== undefined) best = this.#search(this.#folded, request, path, path.toLowerCase(), best);
    return this.#values[best];
  }

  #search({ exact, prefixes }: PathIndex, request: RequestView, path: string, key: string, below: number): number {
    let best = exact.get(key)?.first(request, path, below) ?? below;
    // The longest first: the shortest, "/" and "any", have the expressions, which cost the most.
    for (let i = prefixes.collect(key, this.#found) - 1; i >= 0; i--) {
      best = (this.#found[i] as LazyBucket).first(request, path, best);
    }
    return best;
  }
}
