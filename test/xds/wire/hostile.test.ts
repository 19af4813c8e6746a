import { describe, expect, test } from 'vitest';
import { seededRandom, type Random } from '../../../src/core/random.js';
import { decodeMessage } from '../../../src/xds/wire/decode.js';
import { encodeMessage } from '../../../src/xds/wire/encode.js';
import { CodecError } from '../../../src/xds/wire/error.js';
import { MAX_ANY_DEPTH, MAX_MESSAGE_DEPTH, MAX_VALUES } from '../../../src/xds/wire/limits.js';
import { WireWriter } from '../../../src/xds/wire/writer.js';
import { randomMessage } from '../../support/random-message.js';
import { EXTENSION_MESSAGES, messageType, RESOURCE_MESSAGES, schema } from './schema.js';

const cluster = messageType('envoy.config.cluster.v3.Cluster');
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const decode = (hex: string, type = cluster): unknown => decodeMessage(schema, type, bytes(hex));

/** `value` inside field `number` of each of `levels` messages. */
function nested(number: number, levels: number, value: Uint8Array = new Uint8Array(0)): Uint8Array {
  const writer = new WireWriter();
  writer.raw(value);
  for (let i = 0; i < levels; i++) {
    writer.varint32(writer.length);
    writer.varint32((number << 3) | 2);
  }
  return writer.finish();
}

describe('bytes that are not the message', () => {
  const cases: [string, string, RegExp][] = [
    [
      'a length beyond the end',
      '0a05 61',
      /^name: malformed envoy\.config\.cluster\.v3\.Cluster: truncated: 5 bytes wanted/,
    ],
    ['a length of 2^40', '0a8080808080 20', /truncated/],
    ['a string that is not UTF-8', '0a02 c328', /^name: .*not UTF-8/],
    ['a varint where a string belongs', '0801', /^name: .*wire type 0 where 2 belongs/],
    ['a string where an enum belongs', '3201 61', /^lb_policy: .*wire type 2 where 0 belongs/],
    ['a varint of eleven bytes', '30ffffffffffffffffffff01', /^lb_policy: .*more than 10 bytes/],
    ['a varint that ends with the input', '30ff', /truncated/],
    ['field number 0', '0001', /field number out of range/],
    ['a group that does not end', 'f33f', /truncated/],
    ['a group that ends as another', 'f33ffc3e', /group 1022 ended as 1007/],
    ['an end of a group that was not begun', 'f43f', /wire type 4 where a field should start/],
    ['wire type 7', 'f73f', /wire type 7/],
  ];
  test.each(cases)('%s is refused with its place', (_name, hex, message) => {
    expect(() => decode(hex)).toThrow(CodecError);
    expect(() => decode(hex)).toThrow(message);
  });

  test('a fault inside lists and maps is named by its path', () => {
    const type = messageType('envoy.config.route.v3.RouteConfiguration');
    const good = { virtual_hosts: [{ name: 'a' }, { name: 'b', routes: [{ name: 'c' }] }] };
    const encoded = Buffer.from(encodeMessage(schema, type, good));
    encoded[encoded.lastIndexOf('c')] = 0xff;
    expect(() => decodeMessage(schema, type, encoded)).toThrow(/^virtual_hosts\[1\]\.routes\[0\]\.name: /);
  });

  test('messages nested too deep are refused, and as many as are allowed are read', () => {
    const struct = messageType('google.protobuf.Value');
    // list_value (6) and values (1) in turn.
    const levels = (count: number): Uint8Array => {
      let value: Uint8Array = new Uint8Array(0);
      for (let i = 0; i < count; i++) value = nested(i % 2 === 0 ? 1 : 6, 1, value);
      return value;
    };
    expect(() => decodeMessage(schema, struct, levels(MAX_MESSAGE_DEPTH - 2))).not.toThrow();
    expect(() => decodeMessage(schema, struct, levels(2_000))).toThrow(/nested more than 100 deep/);
  });

  test('groups nested too deep are refused without a deep stack', () => {
    expect(() => decodeMessage(schema, cluster, Buffer.alloc(200_000, bytes('f33f')))).toThrow(
      /groups nested too deep/,
    );
  });

  test('Any nested too deep is refused, both ways', () => {
    const type = messageType('envoy.config.core.v3.TypedExtensionConfig');
    const make = (levels: number): Record<string, unknown> => {
      let value: Record<string, unknown> = { name: 'innermost' };
      for (let i = 0; i < levels; i++) {
        const typed = { '@type': 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig', ...value };
        value = { name: `n${i}`, typed_config: typed };
      }
      return value;
    };
    const allowed = make(MAX_ANY_DEPTH);
    expect(decodeMessage(schema, type, encodeMessage(schema, type, allowed))).toEqual(allowed);
    expect(() => encodeMessage(schema, type, make(MAX_ANY_DEPTH + 1))).toThrow(/Any nested more than 32 deep/);
    const any = messageType('google.protobuf.Any');
    const tooDeep = { type_url: `x/${type.fullName}`, value: encodeMessage(schema, type, allowed) };
    const outer = nested(2, 1, encodeMessage(schema, any, tooDeep));
    expect(() => decodeMessage(schema, type, outer)).toThrow(/Any nested more than 32 deep/);
  });

  test('more values than memory should hold are refused', () => {
    const type = messageType('envoy.config.route.v3.RetryPolicy');
    // retriable_status_codes, packed: one byte each.
    const packed = new WireWriter();
    packed.raw(Buffer.alloc(MAX_VALUES + 1, 1));
    packed.varint32(MAX_VALUES + 1);
    packed.varint32((7 << 3) | 2);
    expect(() => decodeMessage(schema, type, packed.finish())).toThrow(/more than 1000000 values/);
  });
});

describe('any bytes at all', () => {
  test('are either read or refused by CodecError: noise', () => {
    const random = seededRandom(1);
    expectOnlyCodecErrors(20_000, random, () => Uint8Array.from({ length: random.int(60) }, () => random.int(256)));
  });

  test('are either read or refused by CodecError: valid messages with a few bytes changed', () => {
    const random = seededRandom(2);
    const types = [...RESOURCE_MESSAGES, ...EXTENSION_MESSAGES];
    const corpus = Array.from({ length: 300 }, (_, i) => {
      const type = types[i % types.length] as (typeof types)[number];
      return encodeMessage(schema, type, randomMessage(type, random, { anyTypes: EXTENSION_MESSAGES }));
    });
    expectOnlyCodecErrors(40_000, random, () => mutated(corpus, random));
  });
});

function expectOnlyCodecErrors(rounds: number, random: Random, make: () => Uint8Array): void {
  let refused = 0;
  for (let i = 0; i < rounds; i++) {
    const input = make();
    const type = RESOURCE_MESSAGES[random.int(RESOURCE_MESSAGES.length)] ?? cluster;
    let message: Record<string, unknown>;
    try {
      message = decodeMessage(schema, type, input);
    } catch (error) {
      if (!(error instanceof CodecError))
        throw new Error(`input ${Buffer.from(input).toString('hex')}`, { cause: error });
      refused++;
      continue;
    }
    // What was read can be written again, and then reads the same.
    expect(decodeMessage(schema, type, encodeMessage(schema, type, message))).toEqual(message);
  }
  expect(refused).toBeGreaterThan(rounds / 20);
}

function mutated(corpus: readonly Uint8Array[], random: Random): Uint8Array {
  let input = Buffer.from(corpus[random.int(corpus.length)] as Uint8Array);
  for (let i = random.int(4); i >= 0; i--) {
    const at = random.int(input.length + 1);
    switch (random.int(5)) {
      case 0:
        if (at < input.length) input[at] = random.int(256);
        break;
      case 1:
        input = Buffer.concat([input.subarray(0, at), input.subarray(at + 1 + random.int(4))]);
        break;
      case 2:
        input = Buffer.concat([input.subarray(0, at), Buffer.from([random.int(256)]), input.subarray(at)]);
        break;
      case 3:
        input = input.subarray(0, at);
        break;
      default: {
        const other = corpus[random.int(corpus.length)] as Uint8Array;
        input = Buffer.concat([input.subarray(0, at), other, input.subarray(at)]);
      }
    }
  }
  return input;
}
