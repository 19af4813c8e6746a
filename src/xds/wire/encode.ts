import { nearest, shown } from '../../core/decode.js';
import { CodecError, type FieldPath, pathText } from './error.js';
import { MAX_ANY_DEPTH, MAX_MESSAGE_DEPTH } from './limits.js';
import { messageName } from './names.js';
import { LENGTH } from './reader.js';
import type { FieldSchema, MessageSchema, ScalarType, Schema } from './schema.js';
import { wireTypeOf } from './wire-type.js';
import { WireWriter } from './writer.js';

/**
 * A plain object (shape: `core/resources.ts`) as bytes. Equal objects make equal bytes, whatever the order of their keys: fields go by
 * number, map entries by key. Throws CodecError, and nothing else, for what the schema has no room for.
 */
export function encodeMessage(schema: Schema, type: MessageSchema, value: unknown): Uint8Array<ArrayBuffer> {
  const encoding = new Encoding(schema);
  encoding.message(type, value);
  return encoding.writer.finish();
}

/** The upper ends of 64-bit types are one too many, because a double cannot be one less: `#integer64` mends it. */
const INTEGER_RANGES: Partial<Record<ScalarType, readonly [number, number]>> = {
  int32: [-2_147_483_648, 2_147_483_647],
  sint32: [-2_147_483_648, 2_147_483_647],
  sfixed32: [-2_147_483_648, 2_147_483_647],
  uint32: [0, 4_294_967_295],
  fixed32: [0, 4_294_967_295],
  int64: [-(2 ** 63), 2 ** 63],
  sint64: [-(2 ** 63), 2 ** 63],
  sfixed64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
  fixed64: [0, 2 ** 64],
};

class Encoding {
  readonly writer = new WireWriter();
  readonly #path: FieldPath = [];
  #depth = 0;
  #anyDepth = 0;

  constructor(private readonly schema: Schema) {}

  /** All fields of `value`, last one first (see WireWriter). */
  message(type: MessageSchema, value: unknown, packed = false): void {
    const fields = this.#plain(value, type.fullName);
    if (++this.#depth > MAX_MESSAGE_DEPTH) this.#refuse(`messages nested more than ${MAX_MESSAGE_DEPTH} deep`);
    for (const name of Object.keys(fields)) {
      if (fields[name] !== undefined && !type.byName.has(name) && !(packed && name === '@type'))
        this.#unknownField(type, name);
    }
    for (let i = type.fields.length - 1; i >= 0; i--) {
      const field = type.fields[i] as FieldSchema;
      const content = Object.hasOwn(fields, field.name) ? fields[field.name] : undefined;
      if (content === undefined) continue;
      this.#path.push(field.name);
      for (const rival of field.rivals) {
        if (fields[rival] !== undefined) this.#refuse(`only one of ${field.name} and ${rival} can be set`);
      }
      this.#field(field, content);
      this.#path.pop();
    }
    this.#depth--;
  }

  #field(field: FieldSchema, content: unknown): void {
    if (field.mapKey !== undefined) this.#map(field, field.mapKey, content);
    else if (!field.repeated) this.#tagged(field.number, field.type, content);
    else {
      if (!Array.isArray(content)) this.#refuse(`must be a list, got ${shown(content)}`);
      this.#list(field, content);
    }
  }

  #list(field: FieldSchema, list: readonly unknown[]): void {
    // "repeated fields of scalar numeric types use packed encoding by default" - proto3.
    const packed = wireTypeOf(field.type) !== LENGTH;
    const before = this.writer.length;
    for (let i = list.length - 1; i >= 0; i--) {
      this.#path.push(i);
      if (packed) this.#value(field.type, list[i]);
      else this.#tagged(field.number, field.type, list[i]);
      this.#path.pop();
    }
    if (packed && list.length > 0) this.#lengthAndTag(field.number, before);
  }

  #map(field: FieldSchema, keyType: ScalarType, content: unknown): void {
    const map = this.#plain(content, `map of ${field.name}`);
    const keys = Object.keys(map).sort();
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i] as string;
      this.#path.push(key);
      const before = this.writer.length;
      this.#tagged(2, field.type, map[key]);
      this.#tagged(1, keyType, this.#mapKey(keyType, key));
      this.#lengthAndTag(field.number, before);
      this.#path.pop();
    }
  }

  #mapKey(type: ScalarType, key: string): unknown {
    if (type === 'string') return key;
    if (type === 'bool')
      return key === 'true' ? true : key === 'false' ? false : this.#refuse('must be "true" or "false" as a key');
    return Number(key);
  }

  /** A value after its tag. */
  #tagged(number: number, type: FieldSchema['type'], value: unknown): void {
    const before = this.writer.length;
    const wireType = wireTypeOf(type);
    this.#value(type, value);
    if (wireType === LENGTH) this.#lengthAndTag(number, before);
    else this.writer.varint32(((number << 3) | wireType) >>> 0);
  }

  /** Puts the length of what was written since `before`, and the field's tag, in front of it. */
  #lengthAndTag(number: number, before: number): void {
    this.writer.varint32(this.writer.length - before);
    this.writer.varint32(((number << 3) | LENGTH) >>> 0);
  }

  #value(type: FieldSchema['type'], value: unknown): void {
    if (typeof type === 'string') this.#scalar(type, value);
    else if (type.kind === 'message') {
      if (type.isAny) this.#any(type, value);
      else this.message(type, value);
    } else {
      const number = typeof value === 'string' ? type.byName.get(value) : value;
      if (typeof number !== 'number') {
        const near = typeof value === 'string' ? nearest(value, [...type.byName.keys()]) : undefined;
        this.#refuse(
          `must be a value of ${type.fullName}, got ${shown(value)}${near === undefined ? '' : `; did you mean ${near}?`}`,
        );
      }
      this.#integer('int32', number);
      this.writer.varint64(number);
    }
  }

  #any(type: MessageSchema, value: unknown): void {
    const fields = this.#plain(value, 'google.protobuf.Any');
    const typeUrl = fields['@type'];
    if (typeUrl === undefined) {
      // Not unfolded: as a message envelope carries it, with its bytes made already.
      this.message(type, value);
      return;
    }
    if (typeof typeUrl !== 'string') this.#refuse(`@type must be a string, got ${shown(typeUrl)}`);
    const packed = this.schema.message(messageName(typeUrl));
    if (packed === undefined || packed === type) {
      for (const name of Object.keys(fields)) {
        if (name === '@type' || name === 'value') continue;
        this.#refuse(`${name}: the schema does not know ${typeUrl}, so only "value", its bytes, can be given`);
      }
      this.message(type, { type_url: typeUrl, value: fields.value });
      return;
    }
    if (++this.#anyDepth > MAX_ANY_DEPTH) this.#refuse(`Any nested more than ${MAX_ANY_DEPTH} deep`);
    const before = this.writer.length;
    this.message(packed, fields, true);
    this.#lengthAndTag(2, before);
    this.#tagged(1, 'string', typeUrl);
    this.#anyDepth--;
  }

  #scalar(type: ScalarType, value: unknown): void {
    const { writer } = this;
    switch (type) {
      case 'string':
        if (typeof value !== 'string') this.#refuse(`must be a string, got ${shown(value)}`);
        writer.text(value);
        break;
      case 'bytes':
        if (!(value instanceof Uint8Array)) this.#refuse(`must be bytes (a Uint8Array), got ${shown(value)}`);
        writer.raw(value);
        break;
      case 'bool':
        if (typeof value !== 'boolean') this.#refuse(`must be true or false, got ${shown(value)}`);
        writer.varint32(value ? 1 : 0);
        break;
      case 'double':
      case 'float':
        if (typeof value !== 'number') this.#refuse(`must be a number, got ${shown(value)}`);
        writer[type](value);
        break;
      case 'sint32':
      case 'sint64': {
        const zigzag = BigInt(this.#integer64(type, value));
        writer.varint64(BigInt.asUintN(64, (zigzag << 1n) ^ (zigzag >> 63n)));
        break;
      }
      case 'fixed32':
      case 'sfixed32':
        writer.fixed32(this.#integer(type, value));
        break;
      case 'fixed64':
      case 'sfixed64':
        writer.fixed64(this.#integer64(type, value));
        break;
      case 'int64':
      case 'uint64':
        writer.varint64(this.#integer64(type, value));
        break;
      default:
        writer.varint64(this.#integer(type, value));
    }
  }

  #integer(type: ScalarType, value: unknown): number {
    const [min, max] = INTEGER_RANGES[type] as readonly [number, number];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      return this.#refuse(`must be a whole number from ${min} to ${max}, got ${shown(value)}`);
    }
    return value;
  }

  #integer64(type: ScalarType, value: unknown): number | bigint {
    const integer = this.#integer(type, value);
    return integer === INTEGER_RANGES[type]?.[1] ? BigInt(integer) - 1n : integer;
  }

  #plain(value: unknown, what: string): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      return this.#refuse(`must be an object (${what}), got ${shown(value)}`);
    }
    return value as Readonly<Record<string, unknown>>;
  }

  #unknownField(type: MessageSchema, name: string): never {
    const near = nearest(name, [...type.byName.keys()]);
    return this.#refuse(
      `${type.fullName} has no field "${name}"${near === undefined ? '' : `; did you mean "${near}"?`}`,
    );
  }

  #refuse(problem: string): never {
    throw new CodecError(pathText(this.#path), problem);
  }
}
