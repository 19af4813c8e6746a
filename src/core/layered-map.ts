/** Changes that one layer holds before it is merged into a new base: copying it must stay cheap beside what caused the change. */
const MAX_LAYER = 32;

/**
 * An immutable map of which a changed copy costs what changed, not what there is: copies share the base that they were made from and hold
 * their own few changes over it. Two that come from one base can say what differs between them without looking at the rest.
 */
export class LayeredMap<K, V> implements ReadonlyMap<K, V> {
  readonly #base: ReadonlyMap<K, V>;
  readonly #layer: ReadonlyMap<K, V>;

  private constructor(base: ReadonlyMap<K, V>, layer: ReadonlyMap<K, V>) {
    this.#base = base;
    this.#layer = layer;
  }

  /** `base` must not change any more. */
  static over<K, V>(base: ReadonlyMap<K, V>): LayeredMap<K, V> {
    return new LayeredMap(base, new Map());
  }

  /** A copy with other values for keys that are in it; keys that are not are ignored, so that the order and number of entries stay. */
  with(changes: Iterable<readonly [K, V]>): LayeredMap<K, V> {
    const layer = new Map(this.#layer);
    for (const [key, value] of changes) if (this.#base.has(key)) layer.set(key, value);
    if (layer.size <= MAX_LAYER) return new LayeredMap(this.#base, layer);
    const base = new Map(this.#base);
    for (const [key, value] of layer) base.set(key, value);
    return new LayeredMap(base, new Map());
  }

  /** What `changedKeys` says, from the changes alone; undefined when the two have no base in common. */
  changedSince(before: LayeredMap<K, V>): K[] | undefined {
    if (before.#base !== this.#base) return undefined;
    const changed: K[] = [];
    for (const [key, value] of this.#layer) if (!Object.is(before.get(key), value)) changed.push(key);
    for (const key of before.#layer.keys()) {
      if (!this.#layer.has(key) && !Object.is(before.get(key), this.#base.get(key))) changed.push(key);
    }
    return changed;
  }

  get size(): number {
    return this.#base.size;
  }

  get(key: K): V | undefined {
    return this.#layer.has(key) ? this.#layer.get(key) : this.#base.get(key);
  }

  has(key: K): boolean {
    return this.#base.has(key);
  }

  keys(): MapIterator<K> {
    return this.#base.keys();
  }

  *values(): MapIterator<V> {
    for (const [, value] of this) yield value;
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, value] of this.#base) yield [key, this.#layer.has(key) ? (this.#layer.get(key) as V) : value];
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }
}

/** Keys of `after` whose value is another one (by reference) than in `before`, or was not there. Those that are gone are not among them. */
export function changedKeys<K, V>(before: ReadonlyMap<K, V>, after: ReadonlyMap<K, V>): readonly K[] {
  if (before instanceof LayeredMap && after instanceof LayeredMap) {
    const known = (after as LayeredMap<K, V>).changedSince(before as LayeredMap<K, V>);
    if (known !== undefined) return known;
  }
  const changed: K[] = [];
  for (const [key, value] of after) if (!before.has(key) || !Object.is(before.get(key), value)) changed.push(key);
  return changed;
}
