import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { decodeMessage } from '../../../src/xds/wire/decode.js';
import { encodeMessage } from '../../../src/xds/wire/encode.js';
import { randomMessage } from '../../support/random-message.js';
import { descriptor, EXTENSION_MESSAGES, RESOURCE_MESSAGES, schema } from './schema.js';

const all = [...RESOURCE_MESSAGES, ...EXTENSION_MESSAGES];
const pick = fc.tuple(fc.constantFrom(...all), fc.integer());

/** Keys in another order, all the way down. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const copy: Record<string, unknown> = Object.create(null);
  for (const [key, inner] of Object.entries(value).reverse()) copy[key] = shuffled(inner);
  return copy;
}

describe('any message that the schema allows', () => {
  test('comes back as it went', () => {
    fc.assert(
      fc.property(pick, ([type, seed]) => {
        const message = randomMessage(type, seededRandom(seed), { anyTypes: EXTENSION_MESSAGES });
        expect(decodeMessage(schema, type, encodeMessage(schema, type, message))).toEqual(message);
      }),
      { numRuns: 3_000 },
    );
  });

  test('has the same bytes whatever the order of its keys', () => {
    fc.assert(
      fc.property(pick, ([type, seed]) => {
        const message = randomMessage(type, seededRandom(seed), { anyTypes: EXTENSION_MESSAGES });
        expect(encodeMessage(schema, type, shuffled(message))).toEqual(encodeMessage(schema, type, message));
      }),
      { numRuns: 1_000 },
    );
  });

  test('means the same to protobufjs, both ways', () => {
    const root = protobuf.Root.fromJSON(descriptor);
    fc.assert(
      fc.property(pick, ([type, seed]) => {
        const message = withoutProtoKeys(randomMessage(type, seededRandom(seed)));
        const theirs = root.lookupType(type.fullName);
        const read = theirs.toObject(theirs.decode(encodeMessage(schema, type, message)), {
          enums: String,
          longs: Number,
        });
        expect(plain(read)).toEqual(plain(message));
        const written = theirs.encode(theirs.fromObject(message as object)).finish();
        expect(plain(decodeMessage(schema, type, written, { rawAny: true }))).toEqual(plain(message));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Without map keys that protobufjs drops. */
function withoutProtoKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutProtoKeys);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).filter(([key]) => key !== '__proto__');
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutProtoKeys(inner)]));
}

/** What two libraries may show differently and mean the same: empty bytes and defaults inside map entries, Buffer or Uint8Array. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : Array.from(value);
  if (Array.isArray(value)) return value.map((inner) => plain(inner) ?? null);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, plain(inner)] as const);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined && !isEmptyObject(inner)));
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
