import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/core/random.js';
import { newTrace, parseTraceparent } from '../../src/core/traceparent.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('parseTraceparent', () => {
  test('takes a valid header apart', () => {
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, flags: 1 });
  });

  test('reads a higher version as far as it is known', () => {
    expect(parseTraceparent(`cc-${TRACE}-${SPAN}-03-what-the-future-brings`)).toEqual({
      traceId: TRACE,
      spanId: SPAN,
      flags: 3,
    });
  });

  test.each([
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['more after version 00', `00-${TRACE}-${SPAN}-01-x`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['a space in front', ` 00-${TRACE}-${SPAN}-01`],
    ['nothing', ''],
  ])('refuses %s', (_, text) => {
    expect(parseTraceparent(text)).toBeUndefined();
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseTraceparent(text)));
  });
});

describe('newTrace', () => {
  test('makes ids that are valid and do not repeat', () => {
    const random = seededRandom(7);
    const seen = new Set<string>();
    for (let i = 0; i < 10_000; i++) {
      const { traceId, spanId } = newTrace(random);
      expect(parseTraceparent(`00-${traceId}-${spanId}-03`)).toEqual({ traceId, spanId, flags: 3 });
      seen.add(traceId);
    }
    expect(seen.size).toBe(10_000);
  });

  test('a generator that only gives zeros still makes valid ids', () => {
    const { traceId, spanId } = newTrace({ next: () => 0, int: () => 0 });
    expect(parseTraceparent(`00-${traceId}-${spanId}-03`)).toBeDefined();
  });
});
