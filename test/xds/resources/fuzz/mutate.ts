import type { Random } from '../../../../src/core/random.js';
import { TYPE_PREFIX } from '../../../../src/core/resources.js';
import { messageName } from '../../../../src/xds/wire/names.js';
import type { FieldSchema, MessageSchema, ScalarType } from '../../../../src/xds/wire/schema.js';
import { randomMessage } from '../../../support/random-message.js';
import { EXTENSION_MESSAGES, schema } from '../../wire/schema.js';

type Plain = Record<string, unknown>;

/** One value in a message: a field, a member of a list, a value of a map. */
interface Place {
  readonly holder: Plain | unknown[];
  readonly key: string | number;
  /** Undefined: the '@type' of an Any. */
  readonly field: FieldSchema | undefined;
  /** The message around it. */
  readonly message: Plain;
  readonly type: MessageSchema;
}

/** Changes `message`, which must not be needed any more, in `times` places of its choice; types of values are mostly kept. */
export function mutateMessage(type: MessageSchema, message: Plain, random: Random, times: number): void {
  const places: Place[] = [];
  collect(type, message, places);
  for (let i = 0; i < times; i++) {
    // One that is not there any more, because of what was done before, is changed to no effect.
    const place = places[random.int(Math.max(1, places.length))];
    if (place === undefined) addField(type, message, random);
    else mutatePlace(place, places, random);
  }
}

function mutatePlace(place: Place, places: readonly Place[], random: Random): void {
  const { holder, key, field } = place;
  const operation = random.int(16);
  if (operation < 4) addField(place.type, place.message, random);
  else if (operation === 4) remove(place);
  else if (operation === 5) exchange(place, places, random);
  else if (operation === 6 && Array.isArray(holder)) holder.push(clone(holder[key as number]));
  else if (operation === 7 && Array.isArray(holder)) swapMembers(holder, random);
  else if (field === undefined) retype(place, random);
  else if (operation === 8) setTo(place, oddThing(random));
  else setTo(place, otherValue(field.type, getFrom(place), random));
}

/** Every place in `message`. */
function collect(declared: MessageSchema, message: Plain, places: Place[]): void {
  let type: MessageSchema | undefined = declared;
  if (declared.isAny) {
    type = schema.message(messageName(String(message['@type'])));
    places.push({ holder: message, key: '@type', field: undefined, message, type: declared });
  }
  if (type === undefined) return;
  for (const name in message) {
    const field = type.byName.get(name);
    const value = message[name];
    if (field === undefined || value === undefined) continue;
    const inner = typeof field.type === 'object' && field.type.kind === 'message' ? field.type : undefined;
    if (field.mapKey === undefined && !field.repeated) {
      places.push({ holder: message, key: name, field, message, type });
      if (inner !== undefined) collect(inner, value as Plain, places);
      continue;
    }
    const holder = value as Plain | unknown[];
    for (const key in holder) {
      places.push({ holder, key: Array.isArray(holder) ? Number(key) : key, field, message, type });
      if (inner !== undefined) collect(inner, (holder as Plain)[key] as Plain, places);
    }
  }
}

function getFrom({ holder, key }: Place): unknown {
  return (holder as Plain)[key as string];
}

function setTo({ holder, key }: Place, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}

function remove({ holder, key }: Place): void {
  if (Array.isArray(holder)) holder.splice(key as number, 1);
  else delete holder[key as string];
}

/** Sets a field that is not set yet; of a oneof the others go, mostly. */
function addField(type: MessageSchema, message: Plain, random: Random): void {
  const field = type.fields[random.int(Math.max(1, type.fields.length))];
  if (field === undefined || message[field.name] !== undefined) return;
  if (random.int(8) > 0) for (const rival of field.rivals) delete message[rival];
  const fresh = randomMessage({ ...type, fields: [field] }, random, { depth: 2, anyTypes: EXTENSION_MESSAGES });
  Object.assign(message, fresh);
}

/** The value of another place of the same type takes this one's, and the other way round. */
function exchange(place: Place, places: readonly Place[], random: Random): void {
  for (let i = 0; i < 20; i++) {
    const other = places[random.int(places.length)];
    if (other === undefined || other === place || other.field?.type !== place.field?.type) continue;
    const [mine, its] = [clone(getFrom(place)), clone(getFrom(other))];
    setTo(other, mine);
    setTo(place, its);
    return;
  }
}

function swapMembers(list: unknown[], random: Random): void {
  const [i, k] = [random.int(list.length), random.int(list.length)];
  const kept = list[i];
  list[i] = list[k];
  list[k] = kept;
}

/** An Any becomes one of another type: known with content of its own, known with the content of this, or unknown. */
function retype({ message }: Place, random: Random): void {
  const type = EXTENSION_MESSAGES[random.int(EXTENSION_MESSAGES.length)] as MessageSchema;
  const kind = random.int(4);
  if (kind > 0) for (const key of Object.keys(message)) delete message[key];
  message['@type'] = kind === 3 ? pick(random, ['', 'x', `${TYPE_PREFIX}x.Y`, '\0']) : TYPE_PREFIX + type.fullName;
  if (kind === 1) Object.assign(message, randomMessage(type, random, { depth: 3, anyTypes: EXTENSION_MESSAGES }));
  if (kind === 3) message['value'] = Uint8Array.of(random.int(256));
}

const STRINGS = [
  '',
  'a',
  'x',
  '*',
  '*.a',
  'a*b',
  '\0',
  'a\0b',
  '\r\n',
  '[',
  '(',
  '(a+)+$',
  '\\',
  '\\1',
  '\\9',
  '%',
  '%%',
  '%REQ(x)%',
  ':',
  ':path',
  'host',
  'Host',
  '-bin',
  'é',
  '漢字',
  '😀',
  '\u202e',
  '__proto__',
  'constructor',
  'toString',
  '/',
  '/a',
  '//',
  'a/b',
  '?',
  '#',
  ' ',
  '127.0.0.1',
  '::1',
  '::ffff:1.2.3.4',
  '10.0.0.256',
  'localhost',
  'a..b',
  '.',
  'xdstp://a',
  'xdstp:',
  '0',
  '-1',
  '5xx',
  'unavailable',
  'type.googleapis.com/x.Y',
  'http',
  'https',
  '.*',
  '^$',
  '(?i)',
  '{',
  'a{1000}',
];
const NUMBERS = [0, 1, 2, 3, 7, 100, 101, 128, 129, 255, 256, 599, 600, 65_535, 65_536, 999_999_999, 1_000_000_000];
const LARGE = [
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  315_576_000_000,
  315_576_000_001,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
];

const pick = <T>(random: Random, list: readonly T[]): T => list[random.int(list.length)] as T;

/** A value that the type allows, as a rule: the wire must be able to carry it. */
function otherValue(type: FieldSchema['type'], before: unknown, random: Random): unknown {
  if (typeof type === 'string') return otherScalar(type, before, random);
  if (type.kind === 'enum') {
    const known = [...type.byNumber.values()];
    return random.int(4) === 0 ? pick(random, [known.length, 99, -1, 2 ** 31 - 1]) : pick(random, known);
  }
  if (random.int(4) === 0) return {};
  return randomMessage(type, random, { depth: 2, anyTypes: EXTENSION_MESSAGES });
}

function otherScalar(type: ScalarType, before: unknown, random: Random): unknown {
  switch (type) {
    case 'string':
      return otherString(before, random);
    case 'bytes':
      return Uint8Array.from({ length: random.int(20) }, () => random.int(256));
    case 'bool':
      return before !== true;
    case 'double':
    case 'float':
      return pick(random, [0, -0, -1, 1e308, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, 100.5, 0.5]);
    default: {
      const number = random.int(3) === 0 ? pick(random, LARGE) : pick(random, NUMBERS);
      const signed = !type.startsWith('u') && !type.startsWith('fixed') && random.int(4) === 0;
      const wide = type.endsWith('64')
        ? 2 ** 63
        : type.startsWith('u') || type.startsWith('fixed')
          ? 2 ** 32 - 1
          : 2 ** 31 - 1;
      return signed ? -Math.min(number, wide) : Math.min(number, wide);
    }
  }
}

function otherString(before: unknown, random: Random): string {
  const text = typeof before === 'string' ? before : '';
  switch (random.int(7)) {
    case 0:
      return text.repeat(2);
    case 1:
      return text.slice(0, random.int(text.length + 1));
    case 2:
      return text.toUpperCase();
    case 3:
      return text + pick(random, STRINGS);
    case 4:
      return random.int(8) === 0 ? 'a'.repeat(pick(random, [253, 256, 4_096, 4_097, 70_000])) : text;
    default:
      return pick(random, STRINGS);
  }
}

/** What no wire can carry, but embedded configuration could: it reaches the decoders without a codec between. */
function oddThing(random: Random): unknown {
  return pick<() => unknown>(random, [
    () => null,
    () => undefined,
    () => 1.5,
    () => Number.NaN,
    () => -1,
    () => '9223372036854775807',
    () => '',
    () => true,
    () => [],
    () => [null],
    () => [[]],
    () => ({}),
    () => ({ value: {} }),
    () => ({ '@type': 1 }),
    () => new Uint8Array(2),
    () => Symbol('s'),
    () => 1n,
    () => () => 0,
    () => new Date(0),
    () => new Map(),
    () => Object.create(null),
    () => Array(3),
    () => JSON.parse('{"__proto__":{"value":1},"constructor":1,"toString":2}'),
  ])();
}

/** Changes some bytes: flipped, inserted, taken out, cut off, or followed by others. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let input = Buffer.from(bytes);
  for (let i = random.int(2); i >= 0; i--) {
    const at = random.int(input.length + 1);
    switch (random.int(12)) {
      case 0:
        input = Buffer.concat([input.subarray(0, at), input.subarray(at + 1 + random.int(4))]);
        break;
      case 1:
        input = Buffer.concat([input.subarray(0, at), Buffer.from([random.int(256)]), input.subarray(at)]);
        break;
      case 2:
        input = input.subarray(0, at);
        break;
      case 3:
        input = Buffer.concat([input, input.subarray(at)]);
        break;
      default:
        if (at < input.length) input[at] = (input[at] as number) ^ (1 << random.int(8));
    }
  }
  return new Uint8Array(input);
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** A copy in depth of lists and plain objects. */
function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (!isPlain(value)) return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const copy: Plain = Object.create(prototype);
  for (const key of Object.keys(value)) {
    Object.defineProperty(copy, key, {
      value: clone(value[key]),
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return copy;
}
