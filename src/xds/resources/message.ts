import { shown } from '../../core/decode.js';
import { StepBudget } from './step-budget.js';

/** Longest path, and longest problem, in characters: both hold names from outside, and are logged and sent back. */
const MAX_TEXT = 500;
const clipped = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 3)}...` : text);

/** A resource that must be refused (NACKed): the proto field path, and what was expected there. */
export class ResourceError extends Error {
  override readonly name = 'ResourceError';
  readonly path: string;
  readonly problem: string;

  constructor(path: string, problem: string) {
    const [at, what] = [clipped(path), clipped(problem)];
    super(at === '' ? what : `${at}: ${what}`);
    this.path = at;
    this.problem = what;
  }
}

export const UINT32_MAX = 0xffff_ffff;
/** The longest duration: 10,000 years, "+315,576,000,000" seconds (google/protobuf/duration.proto). */
const MAX_SECONDS = 315_576_000_000;

function uint32(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > UINT32_MAX) {
    throw new ResourceError(path, `must be a whole number from 0 to ${UINT32_MAX}, got ${shown(value)}`);
  }
  return value;
}

/**
 * One message of a resource in its plain shape (`core/resources.ts`), with the path that leads to it. Nothing is taken on trust:
 * every getter checks the type and throws a ResourceError that names the field. Only own properties are seen, so a field or a map
 * key called `__proto__` is a name like any other. An absent field has proto3's default: '', 0, false, none.
 */
export class Message {
  readonly #fields: Readonly<Record<string, unknown>>;

  /** `budget`: shared by all messages of a resource; the value counts as one. */
  constructor(
    value: unknown,
    readonly path: string,
    readonly budget: StepBudget = new StepBudget(),
  ) {
    this.spend(1);
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw new ResourceError(path, `must be a message, got ${shown(value)}`);
    }
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  /** The type of an unfolded `Any`, with its prefix; '' for a message that is none. */
  get type(): string {
    return this.text('@type');
  }

  /** Names of the fields that are set. */
  get names(): string[] {
    return Object.keys(this.#fields).filter((name) => this.#fields[name] !== undefined);
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  /** Takes account of work that is as much as looking at so many values. */
  spend(values: number): void {
    this.budget.spend(values, (problem) => {
      throw new ResourceError(this.path, problem);
    });
  }

  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** The error for field `name`, or for the message itself. */
  error(name: string, problem: string): ResourceError {
    return new ResourceError(name === '' ? this.path : this.at(name), problem);
  }

  message(name: string): Message | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : new Message(value, this.at(name), this.budget);
  }

  required(name: string): Message {
    const found = this.message(name);
    if (found === undefined) throw this.error(name, 'must be set');
    return found;
  }

  messages(name: string): Message[] {
    return [...this.each(name)];
  }

  /** The same one by one, for lists that may be long. */
  *each(name: string): Generator<Message, void, undefined> {
    const path = this.at(name);
    const list = this.#list(name);
    for (let i = 0; i < list.length; i++) yield new Message(list[i], `${path}[${i}]`, this.budget);
  }

  texts(name: string): string[] {
    return [...this.eachText(name)];
  }

  /** The same one by one, for lists that may be long. */
  *eachText(name: string): Generator<string, void, undefined> {
    const list = this.#list(name);
    for (let i = 0; i < list.length; i++) {
      this.spend(1);
      const item = list[i];
      if (typeof item !== 'string')
        throw new ResourceError(`${this.at(name)}[${i}]`, `must be a string, got ${shown(item)}`);
      yield item;
    }
  }

  /** Texts, with undefined in the place of null (`google.protobuf.Struct`). */
  textsOrNulls(name: string): (string | undefined)[] {
    const list = this.#list(name);
    this.spend(list.length);
    return Array.from(list, (item, i) => {
      if (item === null) return undefined;
      if (typeof item !== 'string')
        throw new ResourceError(`${this.at(name)}[${i}]`, `must be a string or null, got ${shown(item)}`);
      return item;
    });
  }

  isText(name: string): boolean {
    return typeof this.#get(name) === 'string';
  }

  isNumber(name: string): boolean {
    return typeof this.#get(name) === 'number';
  }

  /** Unsigned 32-bit numbers. */
  numbers(name: string): number[] {
    const list = this.#list(name);
    this.spend(list.length);
    // With undefined in the place of holes, which `map` would pass over.
    return Array.from(list, (item, i) => uint32(item, `${this.at(name)}[${i}]`));
  }

  /** A `map<string, Message>`. */
  map(name: string): [key: string, value: Message][] {
    const value = this.#get(name);
    if (value === undefined) return [];
    const map = new Message(value, this.at(name), this.budget);
    const keys = Object.keys(map.#fields);
    map.spend(keys.length);
    return keys.map((key) => {
      const path = `${map.path}[${JSON.stringify(key)}]`;
      return [key, new Message(map.#fields[key], path, this.budget)];
    });
  }

  text(name: string): string {
    const value = this.#get(name);
    if (value === undefined) return '';
    if (typeof value !== 'string') throw this.error(name, `must be a string, got ${shown(value)}`);
    return value;
  }

  /** A string that must not be empty. */
  requiredText(name: string): string {
    const value = this.text(name);
    if (value === '') throw this.error(name, 'must be set and not empty');
    return value;
  }

  bytes(name: string): Uint8Array {
    const value = this.#get(name);
    if (value === undefined) return new Uint8Array(0);
    if (!(value instanceof Uint8Array)) throw this.error(name, `must be bytes, got ${shown(value)}`);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#get(name);
    if (value === undefined) return false;
    if (typeof value !== 'boolean') throw this.error(name, `must be true or false, got ${shown(value)}`);
    return value;
  }

  double(name: string): number {
    const value = this.#get(name);
    if (value === undefined) return 0;
    if (typeof value !== 'number' || Number.isNaN(value))
      throw this.error(name, `must be a number, got ${shown(value)}`);
    return value;
  }

  uint32(name: string): number {
    const value = this.#get(name);
    return value === undefined ? 0 : uint32(value, this.at(name));
  }

  /** 64-bit: a number, or a string where it does not fit one; rounded to a double as all of JavaScript's numbers are. */
  int64(name: string): number {
    const value = this.#get(name);
    if (value === undefined) return 0;
    const number = typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) {
      throw this.error(name, `must be a whole number, got ${shown(value)}`);
    }
    return number;
  }

  /** `google.protobuf.UInt32Value`; one that is there without a value is 0. */
  uint32Value(name: string): number | undefined {
    return this.message(name)?.uint32('value');
  }

  /** `google.protobuf.UInt64Value`. */
  uint64Value(name: string): number | undefined {
    const value = this.message(name);
    const number = value?.int64('value');
    if (value !== undefined && number !== undefined && number < 0)
      throw value.error('value', `must be 0 or more, got ${number}`);
    return number;
  }

  /** `google.protobuf.UInt32Value` that says how many of a hundred. */
  percentValue(name: string): number | undefined {
    const percent = this.uint32Value(name);
    if (percent !== undefined && percent > 100) throw this.error(name, `must be at most 100, got ${percent}`);
    return percent;
  }

  /** `google.protobuf.BoolValue`. */
  boolValue(name: string): boolean | undefined {
    return this.message(name)?.flag('value');
  }

  /** `google.protobuf.Duration` in milliseconds, with fractions. Negative ones are refused: no field that is read here allows them. */
  duration(name: string): number | undefined {
    const value = this.message(name);
    if (value === undefined) return undefined;
    const seconds = value.int64('seconds');
    const nanos = value.int64('nanos');
    if (seconds < 0 || nanos < 0 || seconds > MAX_SECONDS || nanos > 999_999_999) {
      throw this.error(name, `must be a duration of 0 s or more, got ${seconds} s and ${nanos} ns`);
    }
    return seconds * 1_000 + nanos / 1_000_000;
  }

  /** An enum by name; the first one when not set. A number is one that this version does not know. */
  choice<T extends string>(name: string, known: readonly [T, ...T[]]): T {
    const value = this.#get(name);
    if (value === undefined) return known[0];
    const found = known.find((candidate) => candidate === value);
    if (found === undefined) throw this.error(name, `must be one of ${known.join(', ')}, got ${shown(value)}`);
    return found;
  }

  /** Which member of a oneof is set. Two at once cannot be told apart from a mistake, and are refused. */
  oneof<T extends string>(...names: readonly T[]): T | undefined {
    const set = names.filter((name) => this.has(name));
    if (set.length > 1) throw this.error('', `only one of ${set.join(', ')} may be set`);
    return set[0];
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  #list(name: string): readonly unknown[] {
    const value = this.#get(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.error(name, `must be a list, got ${shown(value)}`);
    return value;
  }
}
