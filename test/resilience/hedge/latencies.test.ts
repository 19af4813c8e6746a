import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Latencies } from '../../../src/resilience/hedge/latencies.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('the latencies of a destination', () => {
  test('say nothing before there are 100 of the last 10 s', async () => {
    const clock = new FakeClock();
    const latencies = new Latencies(clock);
    for (let i = 0; i < 99; i++) latencies.record(10);
    expect(latencies.percentile(0.95)).toBeUndefined();
    latencies.record(10);
    await clock.advance(100);
    expect(latencies.percentile(0.95)).toBeGreaterThanOrEqual(10);
    await clock.advance(10_000);
    expect(latencies.size).toBe(0);
    expect(latencies.percentile(0.95)).toBeUndefined();
  });

  test('are counted anew every 100 ms, and for another share at once', async () => {
    const clock = new FakeClock();
    const latencies = new Latencies(clock);
    for (let i = 0; i < 100; i++) latencies.record(1);
    const before = latencies.percentile(0.5);
    for (let i = 0; i < 1_000; i++) latencies.record(500);
    await clock.advance(99);
    expect(latencies.percentile(0.5)).toBe(before);
    expect(latencies.percentile(0.4)).toBeGreaterThanOrEqual(500);
    await clock.advance(1);
    expect(latencies.percentile(0.5)).toBeGreaterThanOrEqual(500);
  });

  test('give any percentile to a tenth, never too short', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 300_000, noNaN: true }), { minLength: 100, maxLength: 300 }),
        fc.constantFrom(0.01, 0.5, 0.9, 0.95, 0.99),
        (samples, share) => {
          const latencies = new Latencies(new FakeClock());
          for (const sample of samples) latencies.record(sample);
          const exact = samples.sort((a, b) => a - b)[Math.ceil(share * samples.length) - 1] as number;
          const told = latencies.percentile(share) as number;
          // Whole powers of 1.1 come out a rounding error too small.
          expect(told).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
          expect(told).toBeLessThanOrEqual(exact * 1.1 * (1 + 1e-9));
        },
      ),
    );
  });

  test('are those of the last 9 to 10 seconds, on any schedule', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: 3_000 }), fc.nat({ max: 50 })), { maxLength: 30 }),
        async (steps) => {
          const clock = new FakeClock(777);
          const latencies = new Latencies(clock);
          const recorded: number[] = [];
          for (const [ms, count] of steps) {
            await clock.advance(ms);
            for (let i = 0; i < count; i++) {
              latencies.record(5);
              recorded.push(clock.now());
            }
            const within = (window: number): number => recorded.filter((at) => at > clock.now() - window).length;
            expect(latencies.size).toBeGreaterThanOrEqual(within(9_000));
            expect(latencies.size).toBeLessThanOrEqual(within(10_000));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test.each([0, -1, 1e9, Number.POSITIVE_INFINITY])('of %d ms is counted in the first or the last bucket', (ms) => {
    const latencies = new Latencies(new FakeClock());
    for (let i = 0; i < 100; i++) latencies.record(ms);
    expect(latencies.percentile(0.5)).toBeGreaterThan(0);
    expect(latencies.size).toBe(100);
  });
});
