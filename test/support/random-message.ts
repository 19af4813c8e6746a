import type { Random } from '../../src/core/random.js';
import type { FieldSchema, MessageSchema, ScalarType } from '../../src/xds/wire/schema.js';

export interface RandomMessageOptions {
  /** Messages inside messages; below it only scalars are made. Default 5. */
  readonly depth?: number;
  /** Types that an `Any` may hold; none: it is left packed, as `{ type_url, value }`. */
  readonly anyTypes?: readonly MessageSchema[];
}

const STRINGS = ['', 'a', 'reviews.default', '*', 'é', '漢字', '😀', '__proto__', 'constructor', 'x'.repeat(300)];
const INTEGERS = [0, 1, 2, 127, 128, 300, 65_535, 2 ** 31 - 1];

/** A message that the schema allows, in the plain shape of `core/resources.ts`; the same for the same random numbers. */
export function randomMessage(
  type: MessageSchema,
  random: Random,
  options: RandomMessageOptions = {},
): Record<string, unknown> {
  const depth = options.depth ?? 5;
  const inner = { ...options, depth: depth - 1 };
  if (type.isAny) return randomAny(random, inner);
  const message: Record<string, unknown> = {};
  const count = type.fields.length === 0 ? 0 : random.int(Math.min(type.fields.length, 6) + 1);
  for (let i = 0; i < count; i++) {
    const field = type.fields[random.int(type.fields.length)] as FieldSchema;
    if (field.rivals.some((rival) => rival in message)) continue;
    if (depth <= 0 && typeof field.type !== 'string') continue;
    message[field.name] = randomField(field, random, inner);
  }
  return message;
}

function randomAny(random: Random, options: RandomMessageOptions): Record<string, unknown> {
  const types = options.anyTypes ?? [];
  if (types.length === 0) {
    return { type_url: `type.googleapis.com/unknown.T${random.int(9)}`, value: randomBytes(random) };
  }
  if (random.int(4) === 0) return { '@type': 'type.googleapis.com/unknown.Type', value: randomBytes(random) };
  const type = types[random.int(types.length)] as MessageSchema;
  return { '@type': `type.googleapis.com/${type.fullName}`, ...randomMessage(type, random, options) };
}

function randomField(field: FieldSchema, random: Random, options: RandomMessageOptions): unknown {
  const one = (): unknown => randomValue(field.type, random, options);
  if (field.mapKey !== undefined) {
    const map: Record<string, unknown> = Object.create(null);
    for (let i = random.int(3); i >= 0; i--) map[String(randomScalar(field.mapKey, random))] = one();
    return map;
  }
  return field.repeated ? Array.from({ length: 1 + random.int(3) }, one) : one();
}

function randomValue(type: FieldSchema['type'], random: Random, options: RandomMessageOptions): unknown {
  if (typeof type === 'string') return randomScalar(type, random);
  if (type.kind === 'message') return randomMessage(type, random, options);
  const names = [...type.byNumber.values()];
  return names[random.int(names.length)];
}

function randomScalar(type: ScalarType, random: Random): unknown {
  const integer = INTEGERS[random.int(INTEGERS.length)] as number;
  switch (type) {
    case 'string':
      return STRINGS[random.int(STRINGS.length)];
    case 'bytes':
      return randomBytes(random);
    case 'bool':
      return random.int(2) === 1;
    case 'double':
      return random.next() * 1e6 - 5e5;
    case 'float':
      return Math.fround(random.next() * 1e3);
    case 'int32':
    case 'sint32':
    case 'sfixed32':
      return random.int(2) === 1 ? -integer - 1 : integer;
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return (random.int(2) === 1 ? -1 : 1) * (1 + integer * (random.int(2) === 1 ? 1_000_003 : 1));
    case 'uint64':
    case 'fixed64':
      return integer * 1_000_003;
    default:
      return integer;
  }
}

function randomBytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: random.int(8) }, () => random.int(256));
}
