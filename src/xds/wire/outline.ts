import type { Steps } from '../../core/steps.js';
import { MAX_VALUES } from './limits.js';
import type { RawAny } from './messages.js';
import { MalformedError, type WireReader } from './reader.js';
import { scan, type Visit } from './scan.js';
import type { MessageSchema } from './schema.js';
import { Spans } from './spans.js';

/**
 * The outside of a message: its strings, and where the elements of its lists are. So a discovery response of 64 MiB costs two numbers for each of
 * its resources before the first of them is read.
 */
export interface Outline {
  /** A singular string; '' when it is not set. */
  text(field: string): string;
  /** A list of strings. */
  texts(field: string): string[];
  /** A list of bytes or messages. */
  list(field: string): Spans;
}

/** Reads the outline of a message of this type, with pauses. Fields that are neither strings nor lists are passed over. */
export function* readOutline(type: MessageSchema, bytes: Uint8Array): Steps<Outline> {
  const texts = new Map<string, string>();
  const textLists = new Map<string, string[]>();
  const lists = new Map<string, Spans>();
  let elements = 0;
  const visit: Visit = (number, reader) => {
    const field = type.byNumber.get(number);
    if (field === undefined) return false;
    const { name } = field;
    if (field.repeated && ++elements > MAX_VALUES) throw new MalformedError(`more than ${MAX_VALUES} elements`);
    if (field.type === 'string') {
      if (field.repeated) listed(textLists, name, () => []).push(reader.string());
      else texts.set(name, reader.string());
    } else if (field.repeated) listed(lists, name, () => new Spans(bytes)).add(reader);
    else return false;
    return true;
  };
  yield* scan(type.fullName, bytes, visit, (number) => type.byNumber.get(number)?.name);
  return {
    text: (field) => texts.get(field) ?? '',
    texts: (field) => textLists.get(field) ?? [],
    list: (field) => lists.get(field) ?? new Spans(bytes),
  };
}

/** An `Any` that is left packed: `value` is a view. */
export function* readAny(bytes: Uint8Array): Steps<RawAny> {
  let type_url = '';
  let value = bytes.subarray(0, 0);
  yield* scan('google.protobuf.Any', bytes, (number, reader) => {
    if (number === 1) type_url = reader.string();
    else if (number === 2) value = content(bytes, reader);
    else return false;
    return true;
  });
  return { type_url, value };
}

function listed<T>(lists: Map<string, T>, name: string, make: () => T): T {
  const list = lists.get(name) ?? make();
  lists.set(name, list);
  return list;
}

function content(bytes: Uint8Array, reader: WireReader): Uint8Array {
  const end = reader.length();
  const view = bytes.subarray(reader.pos, end);
  reader.pos = end;
  return view;
}
