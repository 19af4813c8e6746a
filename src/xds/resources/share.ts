/**
 * Freezes a model value with all that it consists of. Sets, maps and bytes are only read by their types; class instances
 * (a SafeRegex) look after themselves.
 */
export function deepFreeze<T>(value: T): T {
  // Many endpoints share one locality.
  if (Object.isFrozen(value)) return value;
  if (Array.isArray(value)) for (const item of value) deepFreeze(item);
  else if (isPlain(value)) for (const key of Object.keys(value)) deepFreeze(value[key]);
  else return value;
  return Object.freeze(value);
}

/**
 * `next`, made of as many objects of `previous` as are equal: what did not change keeps its identity, so that whoever comes after
 * can compare by reference and keep state. Members of a list are recognised by their `key`, else by their `name`, else by place.
 */
export function retain<T>(previous: unknown, next: T): T {
  // Compared before anything is built: most of a large update has not changed.
  if (equal(previous, next)) return previous as T;
  if (Array.isArray(next)) return (Array.isArray(previous) ? retainList(previous, next) : next) as T;
  if (isPlain(next)) return (isPlain(previous) ? retainObject(previous, next) : next) as T;
  return next;
}

function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]));
  if (!isPlain(a) || !isPlain(b)) return equalLeaves(a, b);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

function retainObject(previous: Plain, next: Plain): Plain {
  const merged: Plain = Object.create(Object.getPrototypeOf(next));
  for (const key of Object.keys(next)) {
    const value = retain(Object.hasOwn(previous, key) ? previous[key] : undefined, next[key]);
    // Not an assignment: a label may be called `__proto__`.
    Object.defineProperty(merged, key, { value, enumerable: true });
  }
  return Object.freeze(merged);
}

function retainList(previous: readonly unknown[], next: readonly unknown[]): readonly unknown[] {
  // Names need not be unique: of several the first goes with the first, and so on.
  const byIdentity = new Map<string, unknown[]>();
  for (const item of [...previous].reverse()) {
    const id = identity(item);
    if (id === undefined) continue;
    const others = byIdentity.get(id);
    if (others === undefined) byIdentity.set(id, [item]);
    else others.push(item);
  }
  const merged = next.map((item, i) => {
    const id = identity(item);
    return retain(id === undefined ? previous[i] : byIdentity.get(id)?.pop(), item);
  });
  return Object.freeze(merged);
}

/** What is neither list nor plain object: sets of numbers or texts, bytes, compiled expressions. */
function equalLeaves(a: unknown, b: unknown): boolean {
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((item) => b.has(item));
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return isRegex(a) && isRegex(b) && a.source === b.source;
}

type Plain = Record<string, unknown>;

function isPlain(value: unknown): value is Plain {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function identity(item: unknown): string | undefined {
  if (!isPlain(item)) return undefined;
  const id = item['key'] ?? item['name'];
  return typeof id === 'string' ? id : undefined;
}

function isRegex(value: unknown): value is { readonly source: string } {
  return typeof value === 'object' && value !== null && 'source' in value && 'replaceAll' in value;
}
