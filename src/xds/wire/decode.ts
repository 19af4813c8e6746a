import type { Steps } from '../../core/steps.js';
import { CodecError, type FieldPath, pathText } from './error.js';
import { Frame } from './frame.js';
import { MAX_ANY_DEPTH, MAX_MAP_ENTRIES, MAX_MESSAGE_DEPTH, MAX_VALUES, STEP_SIZE } from './limits.js';
import { messageName } from './names.js';
import { LENGTH, MalformedError, WireReader } from './reader.js';
import type { FieldSchema, MessageSchema, ScalarType, Schema } from './schema.js';
import { defaultOf, wireTypeOf } from './wire-type.js';

type Plain = Record<string, unknown>;

export interface DecodeOptions {
  /** Leave each `Any` as `{ type_url, value }`, instead of unfolding it; `value` is a view of the input. */
  readonly rawAny?: boolean;
  /** So is the content of an `Any` of an unknown type, which is copied otherwise. */
  readonly views?: boolean;
}

/** One message's bytes as a plain object (shape: `core/resources.ts`). Throws CodecError and nothing else. */
export function decodeMessage(schema: Schema, type: MessageSchema, bytes: Uint8Array, options?: DecodeOptions): Plain {
  const decoding = new Decoding(schema, type, bytes, options);
  decoding.run(Number.POSITIVE_INFINITY);
  return decoding.result;
}

/** The same, with pauses. */
export function* decodeMessageSteps(
  schema: Schema,
  type: MessageSchema,
  bytes: Uint8Array,
  options?: DecodeOptions,
): Steps<Plain> {
  const decoding = new Decoding(schema, type, bytes, options);
  while (!decoding.run(STEP_SIZE)) yield;
  return decoding.result;
}

/**
 * A message that is being read. What is open at the moment is on a stack of its own and not on the language's, so that the work can stop
 * after any field and go on later.
 */
class Decoding {
  readonly result: Plain = {};
  readonly #rawAny: boolean;
  readonly #views: boolean;
  readonly #reader: WireReader;
  /** Those up to `#top` are open; the others are kept to be used again. */
  readonly #frames: Frame[] = [];
  #top = -1;
  #depth = 0;
  #anyDepth = 0;
  #values = 0;
  /** By map, how many were read into it. */
  readonly #entries = new WeakMap<Plain, number>();
  /** The field that is being read, and its place in a list or map: for the error that names it. */
  #field: FieldSchema | undefined;
  #index: number | string | undefined;

  constructor(
    private readonly schema: Schema,
    private readonly root: MessageSchema,
    bytes: Uint8Array,
    options: DecodeOptions = {},
  ) {
    this.#rawAny = options.rawAny ?? false;
    this.#views = options.views ?? false;
    this.#reader = new WireReader(bytes);
    this.#openMessage(root, this.result, this.#reader.end);
  }

  /** Goes on for about as much work as `size` fields, elements and ends of messages are; true when all is read. */
  run(size: number): boolean {
    const reader = this.#reader;
    const end = reader.work + size;
    try {
      for (; reader.work < end; reader.work++) {
        const frame = this.#frames[this.#top];
        if (frame === undefined) return true;
        if (reader.pos >= reader.end) this.#close(frame);
        else if (frame.kind === 'message') this.#messageField(frame);
        else if (frame.kind === 'packed') this.#element(frame.field as FieldSchema, frame.list as unknown[]);
        else if (frame.kind === 'entry') this.#entryField(frame, frame.field as FieldSchema);
        else this.#anyField(frame);
      }
      return this.#top < 0;
    } catch (error) {
      if (error instanceof MalformedError)
        throw new CodecError(this.#path(), `malformed ${this.root.fullName}: ${error.message}`);
      throw error;
    }
  }

  #messageField(frame: Frame): void {
    const reader = this.#reader;
    this.#field = undefined;
    const tag = reader.tag();
    const field = (frame.type as MessageSchema).byNumber.get(tag >>> 3);
    if (field === undefined) {
      reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
      return;
    }
    const { name } = field;
    const { into } = frame;
    this.#field = field;
    this.#index = undefined;
    if (field.mapKey !== undefined) {
      this.#expect(LENGTH, tag & 7);
      into[name] ??= Object.create(null) as Plain;
      const entry = this.#open('entry');
      entry.into = into[name] as Plain;
      entry.key = defaultOf(field.mapKey);
      entry.value = undefined;
    } else if (field.repeated) {
      into[name] ??= [];
      this.#elements(field, tag & 7, into[name] as unknown[]);
    } else {
      for (const rival of field.rivals) delete into[rival];
      into[name] = this.#value(field.type, tag & 7, into[name]);
    }
  }

  #elements(field: FieldSchema, wireType: number, list: unknown[]): void {
    if (wireType === LENGTH && wireTypeOf(field.type) !== LENGTH) this.#open('packed').list = list;
    else {
      this.#index = list.length;
      list.push(this.#value(field.type, wireType, undefined));
    }
  }

  #element(field: FieldSchema, list: unknown[]): void {
    this.#field = field;
    this.#index = list.length;
    list.push(this.#value(field.type, wireTypeOf(field.type), undefined));
  }

  /** A key or value of a map's entry; one that is left out is its type's default. */
  #entryField(frame: Frame, field: FieldSchema): void {
    const reader = this.#reader;
    const tag = reader.tag();
    this.#field = field;
    this.#index = String(frame.key);
    if (tag >>> 3 === 1) frame.key = this.#value(field.mapKey as ScalarType, tag & 7, undefined);
    else if (tag >>> 3 === 2) frame.value = this.#value(field.type, tag & 7, frame.value);
    else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
  }

  #anyField(frame: Frame): void {
    const reader = this.#reader;
    this.#field = undefined;
    const tag = reader.tag();
    if (tag >>> 3 === 1) {
      this.#expect(LENGTH, tag & 7);
      frame.key = reader.string();
    } else if (tag >>> 3 === 2) {
      this.#expect(LENGTH, tag & 7);
      const end = reader.length();
      frame.start = reader.pos;
      frame.valueEnd = end;
      reader.pos = end;
    } else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
  }

  /** A message or an Any is returned empty, and filled by the steps that follow. */
  #value(type: FieldSchema['type'], wireType: number, before: unknown): unknown {
    if (++this.#values > MAX_VALUES) throw new MalformedError(`more than ${MAX_VALUES} values`);
    this.#expect(wireTypeOf(type), wireType);
    if (typeof type === 'string') return this.#reader.scalar(type);
    if (type.kind === 'enum') {
      const number = this.#reader.varint32() | 0;
      return type.byNumber.get(number) ?? number;
    }
    if (type.isAny) {
      const any: Plain = this.#rawAny ? { type_url: '', value: undefined } : { '@type': '' };
      const frame = this.#open('any');
      frame.type = type;
      frame.into = any;
      frame.key = '';
      frame.start = frame.valueEnd = 0;
      return any;
    }
    // "merged": a field that comes again goes on where the one before ended.
    const message = (before as Plain | undefined) ?? {};
    this.#openMessage(type, message, this.#reader.length());
    return message;
  }

  #openMessage(type: MessageSchema, into: Plain, end: number): Frame {
    if (++this.#depth > MAX_MESSAGE_DEPTH)
      throw new MalformedError(`messages nested more than ${MAX_MESSAGE_DEPTH} deep`);
    const frame = this.#open('message', end);
    frame.type = type;
    frame.into = into;
    frame.unfolded = false;
    return frame;
  }

  /** Narrows the reader to what ends at `end`: the length-delimited value that starts here, when it is not said. */
  #open(kind: Frame['kind'], end = this.#reader.length()): Frame {
    const reader = this.#reader;
    let frame = this.#frames[++this.#top];
    if (frame === undefined) {
      frame = new Frame();
      this.#frames[this.#top] = frame;
    }
    frame.kind = kind;
    frame.field = this.#field;
    frame.index = this.#index;
    frame.outerEnd = reader.end;
    frame.resumeAt = end;
    reader.end = end;
    return frame;
  }

  #close(frame: Frame): void {
    const reader = this.#reader;
    this.#top--;
    reader.end = frame.outerEnd;
    reader.pos = frame.resumeAt;
    // What goes wrong from here on is the value's fault, not that of the last field in it.
    this.#field = frame.field;
    this.#index = frame.index;
    if (frame.kind === 'message') {
      this.#depth--;
      if (frame.unfolded) this.#anyDepth--;
    } else if (frame.kind === 'entry') {
      this.#countEntry(frame.into);
      frame.into[String(frame.key)] = frame.value ?? this.#default((frame.field as FieldSchema).type);
    } else if (frame.kind === 'any') this.#unfold(frame);
  }

  #countEntry(map: Plain): void {
    const entries = (this.#entries.get(map) ?? 0) + 1;
    if (entries > MAX_MAP_ENTRIES) throw new MalformedError(`a map of more than ${MAX_MAP_ENTRIES} entries`);
    this.#entries.set(map, entries);
  }

  /** `{ '@type', …fields }`, or `{ '@type', value }` when the schema does not know the type. */
  #unfold({ into, key, start, valueEnd, type, resumeAt }: Frame): void {
    const reader = this.#reader;
    if (this.#rawAny) {
      into['type_url'] = key;
      into['value'] = reader.view(start, valueEnd);
      return;
    }
    into['@type'] = key;
    const packed = this.schema.message(messageName(key as string));
    // An Any in an Any would need two '@type's in one object; nobody sends it, and its bytes are at hand.
    if (packed === undefined || packed === type) {
      const view = reader.view(start, valueEnd);
      into['value'] = this.#views ? view : new Uint8Array(view);
      return;
    }
    if (++this.#anyDepth > MAX_ANY_DEPTH) throw new MalformedError(`Any nested more than ${MAX_ANY_DEPTH} deep`);
    const content = this.#openMessage(packed, into, valueEnd);
    content.unfolded = true;
    content.resumeAt = resumeAt;
    reader.pos = start;
  }

  #default(type: FieldSchema['type']): unknown {
    if (typeof type === 'string') return defaultOf(type);
    if (type.kind === 'enum') return type.byNumber.get(0) ?? 0;
    if (!type.isAny) return {};
    return { [this.#rawAny ? 'type_url' : '@type']: '', value: new Uint8Array(0) };
  }

  #expect(expected: number, found: number): void {
    if (expected !== found) throw new MalformedError(`wire type ${found} where ${expected} belongs`);
  }

  /** Where we are. */
  #path(): string {
    const path: FieldPath = [];
    const add = (field: FieldSchema | undefined, index: number | string | undefined): void => {
      if (field === undefined) return;
      path.push(field.name);
      if (index !== undefined) path.push(index);
    };
    for (let i = 1; i <= this.#top; i++) {
      const { field, index, kind } = this.#frames[i] as Frame;
      // An entry and a packed list are named by what is in them.
      if (kind === 'message' || kind === 'any') add(field, index);
    }
    add(this.#field, this.#index);
    return pathText(path);
  }
}
