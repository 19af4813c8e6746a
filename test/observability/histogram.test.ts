import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DURATION_BOUNDS_S, ExplicitHistogram, LogLinearHistogram } from '../../src/observability/metrics/histogram.js';

describe('LogLinearHistogram', () => {
  const durations = fc.array(fc.double({ min: 0.001, max: 4_000_000, noNaN: true }), { minLength: 1, maxLength: 200 });

  test('a quantile is within 1/32 of the exact one, from 1 µs to an hour', () => {
    fc.assert(
      fc.property(durations, fc.constantFrom(0.5, 0.9, 0.95, 0.99, 1), (values, q) => {
        const histogram = new LogLinearHistogram();
        for (const value of values) histogram.record(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(q * sorted.length) - 1] as number;
        // Half a step of 1/16, and half a microsecond of the smallest buckets.
        expect(Math.abs((histogram.quantile(q) as number) - exact)).toBeLessThanOrEqual(exact / 32 + 0.001);
      }),
    );
  });

  test('the difference of two readings is what was recorded between them', () => {
    fc.assert(
      fc.property(durations, durations, (first, second) => {
        const all = new LogLinearHistogram();
        for (const value of first) all.record(value);
        const before = all.copy();
        for (const value of second) all.record(value);
        const only = new LogLinearHistogram();
        for (const value of second) only.record(value);
        for (const q of [0.01, 0.5, 0.99]) expect(all.since(before).quantile(q)).toBe(only.quantile(q));
      }),
    );
  });

  test('a reading that is smaller than the one before began anew and counts whole', () => {
    const before = new LogLinearHistogram();
    before.record(5);
    before.record(5);
    const now = new LogLinearHistogram();
    now.record(700);
    expect(now.since(before).quantile(0.5)).toBeCloseTo(700, -2);
  });

  test('without a value there is no quantile', () => {
    expect(new LogLinearHistogram().quantile(0.5)).toBeUndefined();
  });

  test.each([Number.NaN, -1, 0, Number.POSITIVE_INFINITY])('%s is counted and harms nothing', (value) => {
    const histogram = new LogLinearHistogram();
    histogram.record(value);
    expect(histogram.quantile(1)).toBeGreaterThanOrEqual(0);
    expect(Number.isFinite(histogram.quantile(1))).toBe(true);
  });
});

describe('ExplicitHistogram', () => {
  test('bounds are inclusive upper bounds, and what lies above all has a bucket of its own', () => {
    const histogram = new ExplicitHistogram();
    histogram.record(0.005);
    histogram.record(0.0051);
    histogram.record(11);
    expect(histogram.counts[0]).toBe(1);
    expect(histogram.counts[1]).toBe(1);
    expect(histogram.counts[DURATION_BOUNDS_S.length]).toBe(1);
    expect(histogram.count).toBe(3);
    expect(histogram.sum).toBeCloseTo(11.0101);
  });

  test('there are the fourteen bounds of the OpenTelemetry conventions', () => {
    expect(DURATION_BOUNDS_S).toEqual([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]);
  });
});
