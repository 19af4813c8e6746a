import { CodecError, type FieldPath, pathText } from './error.js';
import { FIXED32, FIXED64, LENGTH, MalformedError, VARINT, WireReader } from './reader.js';
import type { FieldSchema, MessageSchema, ScalarType, Schema } from './schema.js';

/** Messages inside messages. "The default limit is 100" - protobuf C++ and Java, CodedInputStream. */
export const MAX_MESSAGE_DEPTH = 100;
/** An `Any` inside an `Any`, and so on. The deepest that means anything is 16: load balancing policies (gRFC A52). */
export const MAX_ANY_DEPTH = 32;
/** Values in one resource, so that few bytes cannot become much memory: two bytes make an empty message of fifty. */
export const MAX_VALUES = 10_000_000;

type Plain = Record<string, unknown>;

export interface DecodeOptions {
  /** Leave each `Any` as `{ type_url, value }` with `value` a view of the input, instead of unfolding it. */
  readonly rawAny?: boolean;
}

/** One message's bytes as a plain object (shape: `core/resources.ts`). Throws CodecError and nothing else. */
export function decodeMessage(schema: Schema, type: MessageSchema, bytes: Uint8Array, options?: DecodeOptions): Plain {
  const decoding = new Decoding(schema, options?.rawAny ?? false);
  try {
    return decoding.root(type, bytes);
  } catch (error) {
    if (error instanceof MalformedError)
      throw new CodecError(pathText(decoding.path), `malformed ${type.fullName}: ${error.message}`);
    throw error;
  }
}

class Decoding {
  /** Where we are; when something throws, it stays at the place. */
  readonly path: FieldPath = [];
  #reader = new WireReader(new Uint8Array(0));
  #depth = 0;
  #anyDepth = 0;
  #values = 0;

  constructor(
    private readonly schema: Schema,
    private readonly rawAny: boolean,
  ) {}

  root(type: MessageSchema, bytes: Uint8Array): Plain {
    this.#reader = new WireReader(bytes);
    return this.#message(type, {});
  }

  /** Reads up to the reader's end, into `into`: a field that comes again is merged, as the specification has it. */
  #message(type: MessageSchema, into: Plain): Plain {
    if (++this.#depth > MAX_MESSAGE_DEPTH)
      throw new MalformedError(`messages nested more than ${MAX_MESSAGE_DEPTH} deep`);
    const reader = this.#reader;
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      const field = type.byNumber.get(tag >>> 3);
      if (field === undefined) reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
      else {
        this.path.push(field.name);
        this.#field(field, tag & 7, into);
        this.path.pop();
      }
    }
    this.#depth--;
    return into;
  }

  #field(field: FieldSchema, wireType: number, into: Plain): void {
    if (field.mapKey !== undefined) {
      into[field.name] ??= Object.create(null) as Plain;
      this.#mapEntry(field, field.mapKey, wireType, into[field.name] as Plain);
    } else if (field.repeated) {
      into[field.name] ??= [];
      this.#elements(field, wireType, into[field.name] as unknown[]);
    } else {
      for (const rival of field.rivals) delete into[rival];
      into[field.name] = this.#value(field.type, wireType, into[field.name]);
    }
  }

  #elements(field: FieldSchema, wireType: number, list: unknown[]): void {
    const { type } = field;
    const expected = wireTypeOf(type);
    this.path.push(list.length);
    if (wireType === LENGTH && expected !== LENGTH) {
      const outer = this.#enter();
      while (this.#reader.pos < this.#reader.end) list.push(this.#value(type, expected, undefined));
      this.#leave(outer);
    } else list.push(this.#value(type, wireType, undefined));
    this.path.pop();
  }

  #mapEntry(field: FieldSchema, keyType: ScalarType, wireType: number, map: Plain): void {
    this.#expect(LENGTH, wireType);
    const outer = this.#enter();
    const reader = this.#reader;
    // A key or value that is left out is its type's default.
    let key: unknown = defaultOf(keyType);
    let value: unknown;
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag >>> 3 === 1) key = this.#value(keyType, tag & 7, undefined);
      else if (tag >>> 3 === 2) {
        this.path.push(String(key));
        value = this.#value(field.type, tag & 7, value);
        this.path.pop();
      } else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
    }
    this.#leave(outer);
    map[String(key)] = value ?? this.#default(field.type);
  }

  #default(type: FieldSchema['type']): unknown {
    if (typeof type === 'string') return defaultOf(type);
    if (type.kind === 'enum') return type.byNumber.get(0) ?? 0;
    if (!type.isAny) return {};
    return { [this.rawAny ? 'type_url' : '@type']: '', value: new Uint8Array(0) };
  }

  #value(type: FieldSchema['type'], wireType: number, before: unknown): unknown {
    if (++this.#values > MAX_VALUES) throw new MalformedError(`more than ${MAX_VALUES} values`);
    this.#expect(wireTypeOf(type), wireType);
    if (typeof type === 'string') return this.#scalar(type);
    if (type.kind === 'enum') {
      const number = this.#reader.varint32() | 0;
      return type.byNumber.get(number) ?? number;
    }
    const outer = this.#enter();
    const value = type.isAny ? this.#any(type) : this.#message(type, (before as Plain | undefined) ?? {});
    this.#leave(outer);
    return value;
  }

  #scalar(type: ScalarType): unknown {
    const reader = this.#reader;
    switch (type) {
      case 'int32':
        return reader.varint32() | 0;
      case 'uint32':
        return reader.varint32();
      default:
        return reader[type]();
    }
  }

  /** `{ '@type', …fields }`, or `{ '@type', value }` when the schema does not know the type. */
  #any(type: MessageSchema): Plain {
    let typeUrl = '';
    let value: Uint8Array = new Uint8Array(0);
    const reader = this.#reader;
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag >>> 3 === 1) {
        this.#expect(LENGTH, tag & 7);
        typeUrl = reader.string();
      } else if (tag >>> 3 === 2) {
        this.#expect(LENGTH, tag & 7);
        value = reader.view();
      } else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH - this.#depth);
    }
    if (this.rawAny) return { type_url: typeUrl, value };
    const packed = this.schema.message(messageName(typeUrl));
    // An Any in an Any would need two '@type's in one object; nobody sends it, and its bytes are at hand.
    if (packed === undefined || packed === type) return { '@type': typeUrl, value: new Uint8Array(value) };
    if (++this.#anyDepth > MAX_ANY_DEPTH) throw new MalformedError(`Any nested more than ${MAX_ANY_DEPTH} deep`);
    this.#reader = new WireReader(value);
    const unfolded = this.#message(packed, { '@type': typeUrl });
    this.#reader = reader;
    this.#anyDepth--;
    return unfolded;
  }

  /** Narrows the reader to the length-delimited value that starts here; returns the end to give back to `#leave`. */
  #enter(): number {
    const outer = this.#reader.end;
    this.#reader.end = this.#reader.length();
    return outer;
  }

  #leave(outer: number): void {
    this.#reader.end = outer;
  }

  #expect(expected: number, found: number): void {
    if (expected !== found) throw new MalformedError(`wire type ${found} where ${expected} belongs`);
  }
}

/** Field 1 of a message, a string; '' when it is not set. All else is passed over. */
export function readNameField(fullName: string, bytes: Uint8Array): string {
  const reader = new WireReader(bytes);
  let name = '';
  try {
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag === ((1 << 3) | LENGTH)) name = reader.string();
      else reader.skip(tag & 7, tag >>> 3, MAX_MESSAGE_DEPTH);
    }
  } catch (error) {
    if (error instanceof MalformedError) throw new CodecError('', `malformed ${fullName}: ${error.message}`);
    throw error;
  }
  return name;
}

/** `type.googleapis.com/a.b.C` as `a.b.C`: what follows the last slash. */
export function messageName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}

export function wireTypeOf(type: FieldSchema['type']): number {
  if (typeof type !== 'string') return type.kind === 'enum' ? VARINT : LENGTH;
  switch (type) {
    case 'string':
    case 'bytes':
      return LENGTH;
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return FIXED64;
    case 'float':
    case 'fixed32':
    case 'sfixed32':
      return FIXED32;
    default:
      return VARINT;
  }
}

function defaultOf(type: ScalarType): unknown {
  if (type === 'string') return '';
  if (type === 'bytes') return new Uint8Array(0);
  return type === 'bool' ? false : 0;
}
