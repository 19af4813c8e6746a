import { runToEnd, type Steps } from '../../core/steps.js';

/** A value of more parts than this is walked in steps: about 0.2 ms of work. */
const LARGE = 1_000;

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

/** The same, with pauses where there is much. */
export function* deepFreezeSteps<T>(value: T): Steps<T> {
  if (!isLarge(value)) return deepFreeze(value);
  if (Array.isArray(value)) {
    for (const item of value) {
      if (isLarge(item)) yield* deepFreezeSteps(item);
      else deepFreeze(item);
      yield;
    }
  } else if (isPlain(value)) for (const key of Object.keys(value)) yield* deepFreezeSteps(value[key]);
  return Object.freeze(value);
}

/**
 * `next`, made of as many objects of `previous` as are equal: what did not change keeps its identity, so that whoever comes after
 * can compare by reference and keep state. Members of a list are recognised by their `key`, else by their `name`, else by place.
 * Objects that are in both already cost one comparison, however large they are; so does a long list that was compared with the same before.
 */
export function retain<T>(previous: unknown, next: T): T {
  if (Object.is(previous, next)) return next;
  if (Array.isArray(next)) {
    if (!Array.isArray(previous) || compared(previous, next)) return next;
    const partners = new Partners(previous);
    const items = next.map((item, i) => {
      if (!partners.known(item, i)) runToEnd(partners.index(i));
      return retain(partners.of(item, i), item);
    });
    return merged(previous, next, items);
  }
  if (!isPlain(next)) return (equalLeaves(previous, next) ? previous : next) as T;
  if (!isPlain(previous)) return next;
  const values: unknown[] = [];
  for (const key of Object.keys(next)) values.push(retain(own(previous, key), next[key]));
  return withValues(previous, next, values);
}

/** The same, with pauses where there is much. */
export function* retainSteps<T>(previous: unknown, next: T): Steps<T> {
  if (Object.is(previous, next)) return next;
  if (!isLarge(next)) return retain(previous, next);
  if (Array.isArray(next)) {
    if (!Array.isArray(previous) || compared(previous, next)) return next;
    const partners = new Partners(previous);
    const items: unknown[] = [];
    for (const [i, item] of next.entries()) {
      if (!partners.known(item, i)) yield* partners.index(i);
      const before = partners.of(item, i);
      items.push(isLarge(item) ? yield* retainSteps(before, item) : retain(before, item));
      yield;
    }
    return merged(previous, next, items);
  }
  if (!isPlain(next) || !isPlain(previous)) return next;
  const values: unknown[] = [];
  for (const key of Object.keys(next)) values.push(yield* retainSteps(own(previous, key), next[key]));
  return withValues(previous, next, values);
}

/**
 * Which member of `previous` a member of another list is compared with. Most lists stay in order, so those at the same place are tried
 * first; from the first that differs on they are looked up. Names need not be unique: of several the first goes with the first, and so on.
 */
class Partners {
  /** Members of `previous` by identity, the last one first; undefined as long as all were in order. */
  #index: Map<string, unknown[]> | undefined;

  constructor(private readonly previous: readonly unknown[]) {}

  /** False: `index` has to come first. Members are asked for in order. */
  known(item: unknown, at: number): boolean {
    const before = this.previous[at];
    return this.#index !== undefined || Object.is(before, item) || identity(before) === identity(item);
  }

  of(item: unknown, at: number): unknown {
    const id = identity(item);
    return this.#index === undefined || id === undefined ? this.previous[at] : this.#index.get(id)?.pop();
  }

  /** Makes those from `start` on ready to be looked up. */
  *index(start: number): Steps<void> {
    const index = new Map<string, unknown[]>();
    for (let i = this.previous.length - 1; i >= start; i--) {
      yield;
      const id = identity(this.previous[i]);
      if (id === undefined) continue;
      const others = index.get(id);
      if (others === undefined) index.set(id, [this.previous[i]]);
      else others.push(this.previous[i]);
    }
    this.#index = index;
  }
}

/** Of three equal lists the one that came first. */
function merged<T>(previous: readonly unknown[], next: T & readonly unknown[], items: readonly unknown[]): T {
  if (previous.length === items.length && items.every((item, i) => Object.is(item, previous[i]))) return previous as T;
  const result = items.every((item, i) => Object.is(item, next[i])) ? next : Object.freeze(items);
  if (result.length > LARGE) comparedWith.set(result, new WeakRef(previous));
  return result as T;
}

/**
 * Long lists, and what they have taken all they could from: whoever compares the two again need not look at them. Weakly, as else every
 * version of a list would keep the one before.
 */
const comparedWith = new WeakMap<readonly unknown[], WeakRef<readonly unknown[]>>();

function compared(previous: readonly unknown[], next: readonly unknown[]): boolean {
  return next.length > LARGE && comparedWith.get(next)?.deref() === previous;
}

/** The same for objects: `values` are those of `next`'s keys, in order. */
function withValues<T>(previous: Plain, next: T & Plain, values: readonly unknown[]): T {
  const keys = Object.keys(next);
  const isPrevious = (key: string, i: number): boolean =>
    Object.hasOwn(previous, key) && Object.is(values[i], previous[key]);
  if (keys.length === Object.keys(previous).length && keys.every(isPrevious)) return previous as T;
  if (keys.every((key, i) => Object.is(values[i], next[key]))) return next;
  const result: Plain = Object.create(Object.getPrototypeOf(next));
  for (const [i, key] of keys.entries()) {
    // Not an assignment: a label may be called `__proto__`.
    Object.defineProperty(result, key, { value: values[i], enumerable: true });
  }
  return Object.freeze(result) as T;
}

/** Sets of numbers or texts, bytes, compiled expressions. */
function equalLeaves(a: unknown, b: unknown): boolean {
  if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every((item) => b.has(item));
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return isRegex(a) && isRegex(b) && a.source === b.source;
}

/** Whether a value has more than LARGE parts. */
function isLarge(value: unknown): boolean {
  return partsLeft(value, LARGE) <= 0;
}

/** `limit` less the number of parts, and 0 or less as soon as there are more. */
function partsLeft(value: unknown, limit: number): number {
  let left = limit - 1;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && left > 0; i++) left = partsLeft(value[i], left);
  } else if (isPlain(value)) {
    for (const key of Object.keys(value)) {
      if (left <= 0) break;
      left = partsLeft(value[key], left);
    }
  }
  return left;
}

type Plain = Record<string, unknown>;

function own(object: Plain, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

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
