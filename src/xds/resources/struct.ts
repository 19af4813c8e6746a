import { shown } from '../../core/decode.js';
import type { Message } from './message.js';

/** `google.protobuf.Struct` read as settings: each field one `google.protobuf.Value`. */
export class Settings {
  readonly #values: ReadonlyMap<string, Message>;

  constructor(struct: Message) {
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

  nested(name: string): Settings | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : new Settings(value.required('struct_value'));
  }

  /** Texts, numbers and truth values as text; what is none of these is left out. */
  *labels(): IterableIterator<[string, string]> {
    for (const [name, value] of this.#values) {
      if (value.has('string_value')) yield [name, value.text('string_value')];
      else if (value.has('number_value')) yield [name, String(value.double('number_value'))];
      else if (value.has('bool_value')) yield [name, String(value.flag('bool_value'))];
    }
  }
}

/** `core.v3.Metadata.filter_metadata[key]` of `owner.metadata`. */
export function filterMetadata(owner: Message, key: string): Settings | undefined {
  const found = owner
    .message('metadata')
    ?.map('filter_metadata')
    .find(([name]) => name === key);
  return found === undefined ? undefined : new Settings(found[1]);
}
