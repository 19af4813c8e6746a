import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { GradientController } from '../../../src/resilience/shedding/gradient-controller.js';

/** As in Envoy's tests: no jitter and no buffer unless they say so. */
const controller = (more: Partial<ConstructorParameters<typeof GradientController>[0]> = {}): GradientController =>
  new GradientController(
    { updateIntervalMs: 100, minRttIntervalMs: 30_000, minRttRequests: 5, jitter: 0, buffer: 0, ...more },
    seededRandom(1),
  );

/** So many requests that begin at `at` and take `rttMs`. */
function requests(limit: GradientController, count: number, at: number, rttMs: number): void {
  for (let i = 0; i < count; i++) limit.sample(at, rttMs);
}

test('lets in 3 until it has measured how long requests take without load', () => {
  const limit = controller();
  expect(limit.at(0)).toBe(3);
  requests(limit, 4, 0, 5);
  expect(limit.at(90_000)).toBe(3);
  requests(limit, 1, 90_000, 5);
  // Then by the gradient, which is 1, and the root of the limit: 3 + 1.7.
  requests(limit, 1, 90_005, 5);
  expect(limit.at(90_105)).toBe(4);
});

test('the gradient stays between a half and 2', () => {
  const limit = controller();
  limit.at(0);
  requests(limit, 5, 0, 10);
  requests(limit, 1, 10, 1);
  // 3 × 2 + √6.
  expect(limit.at(110)).toBe(8);
  requests(limit, 1, 110, 1);
  expect(limit.at(210)).toBe(20);
  requests(limit, 1, 210, 10_000);
  // 20 × ½ + √10.
  expect(limit.at(20_000)).toBe(13);
});

test('the buffer is what requests may take longer: a quarter by default', () => {
  const limit = new GradientController({ updateIntervalMs: 200, minRttIntervalMs: 30_000 }, seededRandom(1));
  limit.at(0);
  requests(limit, 50, 0, 100);
  requests(limit, 1, 100, 125);
  // The gradient is 1: 3 + √3.
  expect(limit.at(300)).toBe(4);
});

test('the percentile is that of the times of a window', () => {
  const limit = controller({ percentile: 0.9, updateIntervalMs: 1_000 });
  limit.at(0);
  for (const rttMs of [1, 2, 3, 4, 50]) limit.sample(0, rttMs);
  // 50 without load, by the 90th percentile of five.
  requests(limit, 9, 60, 10);
  limit.sample(60, 100);
  // 3 × 2 + √6: the 90th of ten is 10.
  expect(limit.at(1_100)).toBe(8);
});

test('measures again after the interval, with jitter, and goes back to the limit that was', () => {
  const limit = controller({ jitter: 0.5 });
  limit.at(0);
  requests(limit, 5, 0, 10);
  requests(limit, 1, 10, 10);
  expect(limit.at(200)).toBe(4);
  expect(limit.at(30_009)).toBe(4);
  expect(limit.at(45_011)).toBe(3);
  // Those that began before say nothing.
  requests(limit, 20, 45_010, 1_000);
  expect(limit.at(46_020)).toBe(3);
  requests(limit, 5, 46_020, 10);
  expect(limit.at(46_040)).toBe(4);
});

test('measures again when five windows have left it at the minimum', () => {
  const limit = controller({ minConcurrency: 7, maxLimit: 7 });
  limit.at(0);
  requests(limit, 5, 0, 10);
  let at = 10;
  for (let window = 0; window < 5; window++, at += 200) {
    requests(limit, 1, at, 10);
    limit.at(at + 150);
  }
  // Now 20 is what it takes without load, which only a measurement finds.
  requests(limit, 5, at, 20);
  requests(limit, 1, at + 20, 20);
  expect(limit.at(at + 10_000)).toBe(7);
});

test('a window without requests changes nothing', () => {
  const limit = controller();
  limit.at(0);
  requests(limit, 5, 0, 10);
  requests(limit, 1, 10, 10);
  expect([200, 400, 4_000, 29_000].map((at) => limit.at(at))).toEqual([4, 4, 4, 4]);
});

test('is a whole number within its bounds, whatever comes when', () => {
  const event = fc.record({ afterMs: fc.nat({ max: 5_000 }), rttMs: fc.double({ min: 0, max: 1e5, noNaN: true }) });
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 400 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat({ max: 100 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (events, minConcurrency, more, percentile) => {
        const limit = controller({ minConcurrency, maxLimit: minConcurrency + more, percentile });
        let now = 0;
        for (const { afterMs, rttMs } of events) {
          now += afterMs;
          const value = limit.at(now);
          expect(Number.isInteger(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(minConcurrency);
          expect(value).toBeLessThanOrEqual(minConcurrency + more);
          limit.sample(now - rttMs, rttMs);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('a time without load that is given is never measured', () => {
  const limit = controller({ fixedMinRttMs: 10, minRttIntervalMs: Number.POSITIVE_INFINITY });
  expect(limit.at(0)).toBe(3);
  // 3 × 2 + √6, with the first window.
  requests(limit, 1, 10, 5);
  expect(limit.at(110)).toBe(8);
  requests(limit, 1, 110, 5);
  expect(limit.at(220)).toBe(20);
  // Five windows at the minimum would have it measured.
  for (let window = 3; window < 20; window++) requests(limit, 1, window * 110, 10_000);
  expect(limit.at(300_000)).toBe(3);
  requests(limit, 1, 300_000, 5);
  expect(limit.at(400_000)).toBe(8);
});

test('who leaves says nothing of how long requests take', () => {
  const limit = controller();
  limit.at(0);
  for (let i = 0; i < 5; i++) limit.sample(0, 90_000, 1, true);
  requests(limit, 5, 0, 10);
  requests(limit, 1, 10, 10);
  // The gradient is 1: 3 + √3.
  expect(limit.at(110)).toBe(4);
});
