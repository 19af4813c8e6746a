import { Metadata } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compress, decompress, encodingOption, isTooLarge } from '../../../src/client/grpc/compression.js';
import { serviceUrl } from '../../../src/client/grpc/credentials.js';
import { encodeFrame, FrameError, FrameReader } from '../../../src/client/grpc/framing.js';
import { fieldsOfMetadata, metadataOf } from '../../../src/client/grpc/metadata.js';
import { decodeMessage, statusOf, statusWithout } from '../../../src/client/grpc/status.js';
import { formatGrpcTimeout, writeGrpcTimeout } from '../../../src/client/grpc/timeout.js';
import { headerFields } from '../../../src/core/headers.js';
import { callOf } from '../../support/http2-fixture.js';

describe('framing', () => {
  test('messages survive any way of being cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ bytes: fc.uint8Array({ maxLength: 300 }), compressed: fc.boolean() }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (messages, cuts) => {
          const wire = Buffer.concat(messages.map((each) => encodeFrame(each.bytes, each.compressed)));
          const reader = new FrameReader(-1);
          const got: { bytes: Buffer; compressed: boolean }[] = [];
          for (let at = 0, i = 0; at < wire.length; i++) {
            const next = at + (cuts[i % cuts.length] as number);
            reader.push(wire.subarray(at, next), (frame) => got.push(frame));
            at = next;
          }
          expect(reader.betweenMessages).toBe(true);
          expect(got.map((each) => [each.compressed, [...each.bytes]])).toEqual(
            messages.map((each) => [each.compressed, [...each.bytes]]),
          );
        },
      ),
    );
  });

  test('whatever comes in, the reader throws nothing but a FrameError, and delivers nothing above its limit', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 10 }), (chunks) => {
        const reader = new FrameReader(100);
        try {
          for (const chunk of chunks)
            reader.push(chunk, (frame) => expect(frame.bytes.length).toBeLessThanOrEqual(100));
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });

  test('a message is refused by its announced length, before any of it is held', () => {
    const prefix = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
    expect(() => new FrameReader(4_194_304).push(prefix, () => {})).toThrow(/4294967295 bytes, the limit is 4194304/);
  });
});

describe('grpc-timeout', () => {
  test.each([
    [0.2, '1m'],
    [-5, '1m'],
    [1_500, '1500m'],
    [99_999_999, '99999999m'],
    [100_000_000, '100000S'],
    [1e12, '16666667M'],
    [1e16, '99999999H'],
  ])('%d ms is %s', (ms, text) => expect(formatGrpcTimeout(ms)).toBe(text));

  test('is never shorter than the time that is left, and has 8 digits at most', () => {
    const sizes = { m: 1, S: 1_000, M: 60_000, H: 3_600_000 };
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 1e14, noNaN: true }), (ms) => {
        const text = formatGrpcTimeout(ms);
        expect(text).toMatch(/^[1-9]\d{0,7}[mSMH]$/);
        expect(Number(text.slice(0, -1)) * sizes[text.slice(-1) as keyof typeof sizes]).toBeGreaterThanOrEqual(ms);
      }),
    );
  });

  test('is written from the deadline of the attempt, and taken away when there is none', () => {
    const call = callOf({ protocol: 'grpc' });
    call.deadline = 1_500;
    writeGrpcTimeout(call, 1_000);
    expect(call.headers['grpc-timeout']).toBe('500m');
    call.deadline = Number.POSITIVE_INFINITY;
    writeGrpcTimeout(call, 1_000);
    expect(call.headers['grpc-timeout']).toBeUndefined();
  });
});

describe('metadata', () => {
  test('values, binary ones too, survive the way through header fields, several of a name in order', () => {
    const metadata = new Metadata();
    metadata.add('x-a', '1');
    metadata.add('x-a', '2');
    metadata.add('x-b-bin', Buffer.from([0, 255]));
    metadata.add('x-b-bin', Buffer.from([7]));
    const back = metadataOf(Metadata, fieldsOfMetadata(metadata));
    expect(back.get('x-a')).toEqual(['1', '2']);
    expect(back.get('x-b-bin')).toEqual([Buffer.from([0, 255]), Buffer.from([7])]);
  });

  test('binary values that were joined on the way are split again; grpc-status-details-bin is one value', () => {
    const got = metadataOf(Metadata, headerFields({ 'x-b-bin': 'AP8,Bw', 'grpc-status-details-bin': 'CAU' }));
    expect(got.get('x-b-bin')).toEqual([Buffer.from([0, 255]), Buffer.from([7])]);
    expect(got.get('grpc-status-details-bin')).toEqual([Buffer.from([8, 5])]);
  });

  test('what belongs to the protocol is neither taken from the application nor shown to it', () => {
    const metadata = new Metadata();
    for (const name of ['te', 'content-type', 'user-agent', 'grpc-timeout', 'host']) metadata.set(name, 'mine');
    expect(Object.keys(fieldsOfMetadata(metadata))).toEqual([]);
    expect(
      metadataOf(Metadata, headerFields({ 'grpc-status': '0', 'grpc-message': 'x', 'grpc-encoding': 'gzip' })).getMap(),
    ).toEqual({});
  });
});

describe('status', () => {
  test.each([
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [429, 14],
    [500, 2],
    [502, 14],
    [503, 14],
    [504, 14],
    [302, 2],
  ])('HTTP %d without a gRPC status is %d', (http, grpc) => {
    expect(statusWithout(http, 'text/html', Metadata).code).toBe(grpc);
  });

  test('a gRPC reply without a status is INTERNAL, another content type is UNKNOWN', () => {
    expect(statusWithout(200, 'application/grpc+proto', Metadata).code).toBe(13);
    expect(statusWithout(200, 'text/html', Metadata)).toMatchObject({
      code: 2,
      details: expect.stringContaining('text/html'),
    });
  });

  test('messages are percent-decoded; what is broken stays as it came', () => {
    expect(decodeMessage('%09caf%C3%A9 100%25')).toBe('\tcafé 100%');
    expect(decodeMessage('50% of %C3%A9')).toBe('50% of é');
    expect(decodeMessage('%C3 alone')).toBe('%C3 alone');
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => decodeMessage(encodeURIComponent(text)) === text));
    fc.assert(fc.property(fc.string(), (text) => typeof decodeMessage(text) === 'string'));
  });

  test('a status that is no number is UNKNOWN and says what came', () => {
    expect(statusOf(headerFields({ 'grpc-status': 'five' }), Metadata)).toMatchObject({
      code: 2,
      details: expect.stringContaining('"five"'),
    });
    expect(statusOf(headerFields({ 'x-a': '1' }), Metadata)).toBeUndefined();
  });
});

describe('compression', () => {
  test.each(['gzip', 'deflate'] as const)('%s there and back', async (encoding) => {
    const message = Buffer.from('again and again and again and again');
    const packed = await new Promise<Buffer>((resolve) => compress(encoding, message, (_, bytes) => resolve(bytes)));
    const plain = await new Promise<Buffer>((resolve) =>
      decompress(encoding, packed, 1_000, (_, bytes) => resolve(bytes)),
    );
    expect(plain).toEqual(message);
  });

  test('a bomb is stopped at the limit', async () => {
    const packed = await new Promise<Buffer>((resolve) =>
      compress('gzip', Buffer.alloc(10_000_000), (_, bytes) => resolve(bytes)),
    );
    const error = await new Promise<Error | null>((resolve) => decompress('gzip', packed, 1_000_000, resolve));
    expect(error !== null && isTooLarge(error)).toBe(true);
  });

  test('an unknown algorithm in the options is refused with what is known', () => {
    expect(encodingOption(2)).toBe('gzip');
    expect(() => encodingOption(7)).toThrow(/0 \(identity\), 1 \(deflate\) or 2 \(gzip\), got 7/);
  });
});

test('the service URL of call credentials has no method and no port 443', () => {
  expect(serviceUrl('reviews.example:443', '/pkg.Reviews/Get')).toBe('https://reviews.example/pkg.Reviews');
  expect(serviceUrl('reviews:8080', '/pkg.Reviews/Get')).toBe('https://reviews:8080/pkg.Reviews');
});
