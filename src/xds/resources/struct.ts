import { shown } from '../../core/decode.js';
import type { Message, ResourceError } from './message.js';

/** `google.protobuf.Struct` read as settings: each field one `google.protobuf.Value`. */
export class Settings {
  readonly #values: ReadonlyMap<string, Message>;

  constructor(private readonly struct: Message) {
    this.#values = new Map(struct.map('fields'));
  }

  /** A number from `min` to `max`, or `otherwise` when not set. */
  number(name: string, min: number, max: number, otherwise: number): number {
    const value = this.#values.get(name);
    if (value === undefined) return otherwise;
    const number = value.has('number_value') ? value.double('number_value') : undefined;
    if (number === undefined || number < min || number > max) {
      throw value.error('', `must be a number from ${min} to ${max}, got ${shown(number ?? value.names)}`);
    }
    return number;
  }

  /** A whole number from `min` to `max`, or `otherwise` when not set. */
  integer(name: string, min: number, max: number, otherwise: number): number {
    const number = this.number(name, min, max, otherwise);
    if (!Number.isInteger(number)) throw this.error(name, `must be a whole number, got ${number}`);
    return number;
  }

  /** A truth value, or false when not set. */
  flag(name: string): boolean {
    const value = this.#values.get(name);
    if (value === undefined) return false;
    if (!value.has('bool_value')) throw value.error('', `must be true or false, got ${shown(value.names)}`);
    return value.flag('bool_value');
  }

  nested(name: string): Settings | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : new Settings(value.required('struct_value'));
  }

  /** A list of settings; empty when not set. */
  nestedList(name: string): Settings[] {
    return this.#list(name).map((value) => new Settings(value.required('struct_value')));
  }

  /** A list of texts; empty when not set. */
  texts(name: string): string[] {
    return this.#list(name).map((value) => {
      if (!value.has('string_value')) throw value.error('', `must be a string, got ${shown(value.names)}`);
      return value.text('string_value');
    });
  }

  #list(name: string): Message[] {
    return this.#values.get(name)?.required('list_value').messages('values') ?? [];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  get names(): string[] {
    return [...this.#values.keys()];
  }

  /** The error for one of `names`, for one that is missing, or for '': all of it. */
  error(name: string, problem: string): ResourceError {
    const value = this.#values.get(name);
    if (value !== undefined) return value.error('', problem);
    return this.struct.error(name === '' ? '' : `fields[${JSON.stringify(name)}]`, problem);
  }

  /** A text, or undefined when not set. */
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    if (!value.has('string_value')) throw value.error('', `must be a string, got ${shown(value.names)}`);
    return value.text('string_value');
  }

  /** One of `labels`. */
  label(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : labelText(value);
  }

  /** Texts, numbers and truth values as text; what is none of these is left out. */
  *labels(): IterableIterator<[string, string]> {
    for (const [name, value] of this.#values) {
      const text = labelText(value);
      if (text !== undefined) yield [name, text];
    }
  }
}

function labelText(value: Message): string | undefined {
  if (value.has('string_value')) return value.text('string_value');
  if (value.has('number_value')) return String(value.double('number_value'));
  return value.has('bool_value') ? String(value.flag('bool_value')) : undefined;
}

/** Key of what only inmesh reads, in metadata: what the API has no field for. */
export const OWN_METADATA = 'inmesh.dev';

/** `core.v3.Metadata.filter_metadata[key]` of `owner.metadata`, or of another field. */
export function filterMetadata(owner: Message, key: string, field = 'metadata'): Settings | undefined {
  const found = owner
    .message(field)
    ?.map('filter_metadata')
    .find(([name]) => name === key);
  return found === undefined ? undefined : new Settings(found[1]);
}

/** "The Struct … will be returned as-is as the configuration JSON object" - A52 */
export function plainStruct(struct: Message | undefined, depth = 0): Readonly<Record<string, unknown>> {
  const plain: Record<string, unknown> = Object.create(null);
  for (const [name, value] of struct?.map('fields') ?? []) plain[name] = plainValue(value, depth + 1);
  return plain;
}

/** A deeper one would be a way to exhaust the stack. */
const MAX_DEPTH = 64;

function plainValue(value: Message, depth: number): unknown {
  if (depth > MAX_DEPTH) throw value.error('', `must not be nested more than ${MAX_DEPTH} deep`);
  switch (value.oneof('null_value', 'number_value', 'string_value', 'bool_value', 'struct_value', 'list_value')) {
    case 'number_value':
      return value.double('number_value');
    case 'string_value':
      return value.text('string_value');
    case 'bool_value':
      return value.flag('bool_value');
    case 'struct_value':
      return plainStruct(value.required('struct_value'), depth);
    case 'list_value':
      return value
        .required('list_value')
        .messages('values')
        .map((item) => plainValue(item, depth + 1));
    default:
      return null;
  }
}
