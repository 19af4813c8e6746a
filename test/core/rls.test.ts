import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { RlsDescriptor, RlsPair, RlsRequest, RlsResponse, RlsStatus } from '../../src/core/rls.js';
import { readRlsRequest, readRlsResponse } from '../../src/core/rls-read.js';
import { writeRlsRequest, writeRlsResponse } from '../../src/core/rls-write.js';
import { textField, wholeField } from '../../src/core/wire-write.js';

const uint32 = fc.integer({ min: 0, max: 4_294_967_295 });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const pair: fc.Arbitrary<RlsPair> = fc.tuple(text, text);
const unit = fc.integer({ min: 0, max: 7 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const descriptor: fc.Arbitrary<RlsDescriptor> = fc.record({
  entries: fc.array(pair, { maxLength: 4 }),
  limit: optional(fc.record({ requestsPerUnit: uint32, unit })),
  hitsAddend: optional(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
});
const request: fc.Arbitrary<RlsRequest> = fc.record({
  domain: text,
  descriptors: fc.array(descriptor, { maxLength: 4 }),
  hitsAddend: uint32,
});
const status: fc.Arbitrary<RlsStatus> = fc.record({
  code: fc.integer({ min: 0, max: 2 }),
  currentLimit: optional(fc.record({ name: text, requestsPerUnit: uint32, unit })),
  limitRemaining: uint32,
  resetMs: optional(fc.integer({ min: 0, max: 366 * 86_400_000 })),
});
const response: fc.Arbitrary<RlsResponse> = fc.record({
  overallCode: fc.integer({ min: 0, max: 2 }),
  statuses: fc.array(status, { maxLength: 4 }),
  responseHeaders: fc.array(pair, { maxLength: 3 }),
  requestHeaders: fc.array(pair, { maxLength: 3 }),
  rawBody: fc.uint8Array({ maxLength: 100 }),
});

test('a request that is written is read as it was', () => {
  fc.assert(
    fc.property(request, (it) => {
      expect(readRlsRequest(writeRlsRequest(it))).toEqual(it);
    }),
  );
});

test('a response that is written is read as it was', () => {
  fc.assert(
    fc.property(response, (it) => {
      const read = readRlsResponse(writeRlsResponse(it)) as RlsResponse;
      expect({ ...read, rawBody: Buffer.from(read.rawBody) }).toEqual({ ...it, rawBody: Buffer.from(it.rawBody) });
    }),
  );
});

describe("beside the published protos' own codec", () => {
  let Request: protobuf.Type;
  let Response: protobuf.Type;
  beforeAll(async () => {
    const require = createRequire(import.meta.url);
    const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
    const folders = [
      ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name)),
      dirname(require.resolve('protobufjs/package.json')),
    ];
    const root = new protobuf.Root();
    root.resolvePath = (_, target) => folders.map((folder) => join(folder, target)).find(existsSync) ?? target;
    await root.load('envoy/service/ratelimit/v3/rls.proto', { keepCase: true });
    Request = root.lookupType('envoy.service.ratelimit.v3.RateLimitRequest');
    Response = root.lookupType('envoy.service.ratelimit.v3.RateLimitResponse');
  });

  test('a request means the same', () => {
    fc.assert(
      fc.property(request, (it) => {
        const plain = Request.toObject(Request.decode(writeRlsRequest(it)), { defaults: true, arrays: true });
        expect(plain['domain']).toBe(it.domain);
        expect(plain['hits_addend']).toBe(it.hitsAddend);
        expect(plain['descriptors']).toEqual(
          it.descriptors.map(({ entries, limit }) => ({
            entries: entries.map(([key, value]) => ({ key, value })),
            limit: limit === undefined ? null : { requests_per_unit: limit.requestsPerUnit, unit: limit.unit },
          })),
        );
      }),
    );
  });

  test('a response means the same', () => {
    fc.assert(
      fc.property(response, (it) => {
        const bytes = Response.encode(
          Response.fromObject({
            overall_code: it.overallCode,
            statuses: it.statuses.map(({ code, currentLimit, limitRemaining, resetMs }) => ({
              code,
              limit_remaining: limitRemaining,
              ...(currentLimit && {
                current_limit: {
                  name: currentLimit.name,
                  requests_per_unit: currentLimit.requestsPerUnit,
                  unit: currentLimit.unit,
                },
              }),
              ...(resetMs !== undefined && {
                duration_until_reset: { seconds: Math.floor(resetMs / 1_000), nanos: (resetMs % 1_000) * 1e6 },
              }),
            })),
            response_headers_to_add: it.responseHeaders.map(([key, value]) => ({ key, value })),
            request_headers_to_add: it.requestHeaders.map(([key, value]) => ({ key, value })),
            raw_body: it.rawBody,
          }),
        ).finish();
        const read = readRlsResponse(bytes) as RlsResponse;
        expect({ ...read, rawBody: Buffer.from(read.rawBody) }).toEqual({ ...it, rawBody: Buffer.from(it.rawBody) });
      }),
    );
  });
});

test('whatever bytes come, they are read or refused, and never throw', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(response.map(writeRlsResponse), fc.array(fc.tuple(fc.nat(500), fc.nat(255)), { maxLength: 5 }))
      .map(([sound, changes]) => {
        const copy = Uint8Array.from(sound);
        for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
        return copy;
      }),
  );
  fc.assert(
    fc.property(bytes, (it) => {
      readRlsRequest(it);
      readRlsResponse(it);
    }),
    { numRuns: 1_000 },
  );
});

test('a message of a thousand and one descriptors is refused', () => {
  const one = { entries: [], limit: undefined, hitsAddend: undefined };
  const of = (count: number) =>
    readRlsRequest(
      writeRlsRequest({ domain: 'd', hitsAddend: 0, descriptors: Array.from({ length: count }, () => one) }),
    );
  expect(of(1_000)?.descriptors).toHaveLength(1_000);
  expect(of(1_001)).toBeUndefined();
});

test.each<[string, Uint8Array]>([
  ['a text that is no UTF-8', Uint8Array.of(10, 1, 0xff)],
  ['a number where a text should be', wholeField(1, 5)],
  ['a text where a number should be', textField(3, 'three')],
  ['hits of more than 32 bits', wholeField(3, 2 ** 32)],
])('a request with %s is refused', (_, bytes) => {
  expect(readRlsRequest(bytes)).toBeUndefined();
});

test('fields that nobody knows are passed over', () => {
  const bytes = Buffer.concat([textField(1, 'edge'), textField(15, 'new'), wholeField(16, 7)]);
  expect(readRlsRequest(bytes)).toEqual({ domain: 'edge', descriptors: [], hitsAddend: 0 });
});

test('the value of a header field may come as bytes', () => {
  const header = Buffer.concat([textField(1, 'x-a'), Uint8Array.of(26, 2, 0xe9, 0x21)]);
  const bytes = Buffer.concat([Uint8Array.of(26, header.length), header]);
  expect(readRlsResponse(bytes)?.responseHeaders).toEqual([['x-a', 'é!']]);
});
