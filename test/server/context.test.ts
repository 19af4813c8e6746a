import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inboundContext } from '../../src/server/context.js';
import { expectedTimeoutMs, grpcTimeoutMs } from '../../src/server/time-left.js';
import { FakeClock } from '../support/fake-clock.js';

const VALID = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('grpc-timeout', () => {
  test.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3_000],
    ['250m', 250],
    ['1500u', 1.5],
    ['99999999n', 99.999999],
    ['0m', 0],
  ])('%s is %d ms', (value, ms) => {
    expect(grpcTimeoutMs(value)).toBeCloseTo(ms, 6);
  });

  test.each([undefined, '', '1', 'S', '-1S', '1.5S', '123456789S', '1s', '1S ', '١S'])('%j is none', (value) => {
    expect(grpcTimeoutMs(value)).toBeUndefined();
  });
});

test.each([
  ['0', 0],
  ['250', 250],
  ['-1', undefined],
  ['1e3', undefined],
  ['1.5', undefined],
  ['', undefined],
  ['9'.repeat(400), undefined],
])('x-envoy-expected-rq-timeout-ms %j is %s', (value, ms) => {
  expect(expectedTimeoutMs(value)).toBe(ms);
});

describe('inboundContext', () => {
  test('has the time left as a monotonic deadline, the shorter of two', () => {
    const clock = new FakeClock(5_000);
    expect(inboundContext({ 'grpc-timeout': '1S', 'x-envoy-expected-rq-timeout-ms': '250' }, clock).deadline).toBe(
      5_250,
    );
    expect(inboundContext({ 'grpc-timeout': '1S' }, clock).deadline).toBe(6_000);
  });

  test('has no deadline when none was sent, or one that cannot be read, or two', () => {
    const clock = new FakeClock();
    expect(inboundContext({}, clock).deadline).toBe(Number.POSITIVE_INFINITY);
    expect(inboundContext({ 'grpc-timeout': 'soon' }, clock).deadline).toBe(Number.POSITIVE_INFINITY);
    expect(inboundContext({ 'x-envoy-expected-rq-timeout-ms': '1, 2' }, clock).deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test('has the trace headers that are valid', () => {
    const context = inboundContext({ traceparent: VALID, tracestate: ['a=1', 'b=2'], baggage: 'user=7' });
    expect(context).toMatchObject({ traceparent: VALID, tracestate: 'a=1,b=2', baggage: 'user=7' });
  });

  test('a tracestate without a valid traceparent counts for nothing', () => {
    expect(inboundContext({ traceparent: 'x', tracestate: 'a=1' })).toMatchObject({
      traceparent: undefined,
      tracestate: undefined,
    });
  });

  test('never throws, whatever the headers are', () => {
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' })));
    const headers = fc.dictionary(
      fc.constantFrom(
        'traceparent',
        'tracestate',
        'baggage',
        'grpc-timeout',
        'x-envoy-expected-rq-timeout-ms',
        '__proto__',
      ),
      value,
    );
    fc.assert(
      fc.property(headers, (given) => {
        expect(inboundContext(given).deadline).not.toBeNaN();
      }),
    );
  });
});
