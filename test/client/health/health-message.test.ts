import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { decodeHealthResponse, encodeHealthRequest } from '../../../src/client/health/health-message.js';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Request { string service = 1; }
  message Response { int32 status = 1; string more = 2; double other = 3; float least = 4; int64 big = 15; }
`);
const Request = root.lookupType('Request');
const Response = root.lookupType('Response');

test('requests are what protobufjs reads', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ minLength: 120, maxLength: 40_000 })),
      (service) => {
        const read = Request.decode(encodeHealthRequest(service)) as unknown as { service: string };
        expect(read.service).toBe(Buffer.from(service).toString());
      },
    ),
  );
});

test('responses are read with whatever other fields they have', () => {
  const response = fc.record({
    status: fc.integer({ min: 0, max: 1_000 }),
    more: fc.string(),
    other: fc.double(),
    least: fc.float(),
    big: fc.integer(),
  });
  fc.assert(
    fc.property(response, (value) => {
      expect(decodeHealthResponse(Response.encode(value).finish())).toBe(value.status);
    }),
  );
});

test('any bytes are a status or no message, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const status = decodeHealthResponse(bytes);
      expect(status === undefined || status >= 0).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['a length beyond the end', [0x12, 0x05, 0x61]],
  ['a field of the wrong kind', [0x0a, 0x01, 0x01]],
  ['a varint without an end', [0x08, 0xff, 0xff]],
  ['a group', [0x0b]],
  ['a tag of 0', [0x00, 0x00]],
])('%s is no message', (_name, bytes) => {
  expect(decodeHealthResponse(Uint8Array.from(bytes))).toBeUndefined();
});
